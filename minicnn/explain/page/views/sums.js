// @ts-check
// The parts of a sum: taps, terms, their total, and what minicnn computed.
import { bar, columnHead, numberGrid, sumLine, termTable, verdict } from "page/cells.js";
import { exact, fmt, h, screen_, unitFor } from "page/draw.js";
import { size, unravel } from "page/engine/arrays.js";
import { largestTerm, softmaxLines } from "page/explain/numbers.js";
import { mapName, placeIn } from "page/views/pictures.js";
import { placeText } from "page/views/spots.js";
import { words } from "page/words.js";

export function featureName(app, e, t) {
  const { net } = app;
  const source = net.nodes[e.node.inputs[0]];
  if (/Dropout|Noise/.test(source.type)) return featureName(app, { node: source }, t);
  if (source.type === "Flatten") {
    const shape = net.shape(source.inputs[0]);
    if (shape.length === 3) {
      const [r, c, k] = unravel(shape, t.index);
      return words("sum.flattened", { row: r, column: c, k });
    }
  }
  return source.type.startsWith("Global")
    ? words("word.map_k", { k: t.index })
    : words("word.feature_k", { k: t.index });
}

export function verdictOf(app, e, options = {}) {
  const { net, state } = app;
  if (Number.isNaN(e.value)) {
    return h(
      "p.verdict",
      {},

      words("sum.softmax_lacks"),
      h("b", { title: exact(e.real) }, fmt(e.real)),
      ".",
    );
  }
  const rounded =
    net.isRounded(e.node.id) || (state.mode === "backward" && net.arrays.some((a) => a.half));
  const tolerance = rounded || (net.changed && net.arrays.some((a) => a.half)) ? 2e-2 : 1e-4;
  if (state.mode === "backward") {
    if (e.uses > 1 && e.form) {
      return h("p.verdict", {}, words("sum.paths", { n: e.uses }), h("b", {}, fmt(e.real)), ".");
    }
    const stored = net.nodes[e.node.inputs?.[state.which] ?? 0]?.dy !== null && net.asStored;
    return verdict(e.value, e.real, {
      tolerance,
      rounded,
      says: stored ? words("minicnn_says") : words("sum.backward_says"),
      ...options,
    });
  }
  const changed = net.alternatives.has(e.node.id);
  const says = changed
    ? words("sum.changed_says")
    : net.isStored(e.node.id)
      ? words("minicnn_says")
      : words("sum.forward_says");
  return verdict(e.value, e.real, { tolerance, rounded, says, ...options });
}

// A link to the number that matters most for this one, towards the photo or towards the loss.
export function follow(app, e) {
  const { net, state } = app;
  const back = state.mode === "backward";
  const next = largestTerm(net, e);
  if (!next || !next.at) return null;
  if (!back) {
    const source = e.node.inputs[next.input];
    return h(
      "button.quiet.follow",
      { "data-focus": "follow", onclick: () => app.openAt(source, next.at) },
      words("sum.largest_term", {
        name: net.nodes[source].name,
        place: placeIn(net, source, next.at),
      }),
    );
  }
  const after = e.node.consumers[0];
  if (after === undefined) {
    return h("p.note", {}, net.kind ? words("sum.from_loss") : words("sum.from_number"));
  }
  // Global pooling leaves one place, with the axes of the others or without them.
  const shape = net.shape(e.node.id);
  const place_ =
    e.form === "steps" && shape.length < e.at.length
      ? [e.at.at(-1)]
      : next.at.map((i, axis) => (shape[axis] === 1 ? 0 : i));
  return h(
    "button.quiet.follow",
    {
      "data-focus": "follow",
      onclick: () => app.openAt(after, place_, net.nodes[after].inputs.indexOf(e.node.id)),
    },
    words("sum.largest_part", { name: e.node.name, place: placeText(place_) }),
  );
}

export function closing(e) {
  const parts = [["Σ", words("word.products"), e.total]];
  if (e.z !== undefined && !e.back) {
    parts.push(...biasOf(e), [
      "=",
      e.activation === "linear" ? "" : "z",
      e.z,
      e.activation === "linear",
    ]);
  }
  if (e.back) parts.push(["=", "dL/dx", e.total, true]);
  if (e.activation && e.activation !== "linear" && e.activation !== "softmax") {
    parts.push(["→", e.text, e.value, true]);
  }
  return sumLine(parts.filter((p, n) => !(e.back && n === 0)));
}

// Training has not changed a bias of zero; a layer without biases has none to add.
export const biasOf = (e) =>
  e.bias === null
    ? []
    : [["+", e.bias === 0 ? words("sum.no_bias") : (e.biasName ?? words("sum.bias")), e.bias]];

// The map that the taps of a group are of: of the input or, backward, of the output.
const groupName = (app, e, k) =>
  e.back
    ? words("word.map_k", { k })
    : mapName(app.net, e.node.inputs[app.state.which] ?? e.node.inputs[0], k);

export function tapRow(app, group, names, e) {
  const name = groupName(app, e, group.channel);
  const [kh, kw] = e.grid ?? e.w.kernel;
  const at = (i, j) => group.taps[i * kw + j];
  const largest = (key) =>
    e.groups.reduce((m, g) => g.taps.reduce((n, t) => Math.max(n, Math.abs(t[key])), m), 1e-12);
  const pTop = largest("product");
  const inTop = largest("input");
  const kTop = largest("weight");
  const grid = (key, limit, what, padded) =>
    h(
      "div.grid-of",
      {},
      h("small", {}, what + unitFor(limit)[1]),
      numberGrid(
        kh,
        kw,
        (i, j) => ({ value: at(i, j)[key], padded: padded && at(i, j).padded }),
        limit,
        { label: words("sum.what_of", { what, name }) },
      ),
    );
  return h(
    "div.tap-row",
    {},
    h(
      "button.tag",
      {
        onclick: () => app.pickGroup(group.channel, e),
        title: words("sum.show_map"),
        "data-focus": `group-${group.channel}`,
      },
      name,
    ),
    grid("input", inTop, words(names.a), true),
    h("span.sign", {}, "×"),
    grid("weight", kTop, words(names.b), false),
    h(
      "div.equals",
      {},
      kw <= 5
        ? [h("span.sign", {}, "="), grid("product", pTop, words("word.products"), true)]
        : null,
      h("span.sign", {}, "Σ"),
      h("b.group-sum", { title: exact(group.sum) }, fmt(group.sum)),
    ),
  );
}

function windowTitle(e) {
  if (e.hidden) return words("sum.hidden");
  const n = e.groups.length;
  if (e.back) return words("sum.sending", { n });
  return words(e.stamped ? "sum.stamps" : "sum.patches", { n });
}

export function windowSum(app, e, channel, names) {
  const { state } = app;
  const cells = size(e.grid ?? e.w.kernel);
  const visible = state.more + (screen_.height > 860 ? 2 : 0);
  if (cells === 1 && e.groups.length > 1) {
    const terms = e.groups.map((g) => ({ ...g.taps[0], channel: g.channel }));
    return [
      h("h3", {}, words("sum.one_by_one", { n: terms.length })),
      termTable(terms, {
        heads: [words(names.a === "word.dz" ? names.a : "word.input"), words("word.weight")],
        limit: 10,
        name: (t) => groupName(app, e, t.channel),
        onpick: (t) => app.pickGroup(t.channel, e),
      }),
      e.softmax ? softmaxSteps(app.net, e) : closing(e),
      verdictOf(app, e),
    ];
  }
  const sorted = [...e.groups].sort((a, b) => Math.abs(b.sum) - Math.abs(a.sum));
  const pick = sorted.find((g) => g.channel === channel);
  const first =
    pick && sorted.indexOf(pick) >= visible ? [pick, ...sorted.filter((g) => g !== pick)] : sorted;
  const shownGroups = first.slice(0, visible);
  const rest = first.slice(visible);
  return [
    h("h3", {}, windowTitle(e)),
    h(
      "div.taps",
      {},
      shownGroups.map((g) => tapRow(app, g, names, e)),
      rest.length
        ? h(
            "p.rest",
            {},
            words("sum.more", { n: rest.length }),
            h("b", {}, fmt(rest.reduce((s, g) => s + g.sum, 0))),
            " ",
            h(
              "button.quiet",
              { "data-focus": "more", onclick: () => app.set({ more: state.more + 16 }) },
              words("sum.show_more"),
            ),
          )
        : null,
    ),
    e.softmax ? softmaxSteps(app.net, e) : closing(e),
    verdictOf(app, e),
  ];
}

export function softmaxSteps(net, e) {
  const found = softmaxLines(e.scores);
  const own = e.at.at(-1);
  const lines =
    found.lines.length > 12 ? [...found.lines].sort((a, b) => b.z - a.z).slice(0, 12) : found.lines;
  if (!lines.some((l) => l.k === own)) lines.push(found.lines[own]);
  return h(
    "table.softmax",
    {},
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        ["", words("sum.score_z"), `z − ${fmt(found.top)}`, "e^…", `÷ ${fmt(found.sum)}`, ""].map(
          columnHead,
        ),
      ),
    ),
    h(
      "tbody",
      {},
      lines.map((l) =>
        h(
          "tr",
          { class: l.k === own ? "own" : "" },
          h("th", { scope: "row" }, net.unitName(e.node.id, l.k)),
          [l.z, l.shifted, l.e, l.p].map((v, n) =>
            h("td", { class: n === 3 ? "strong" : "", title: exact(v) }, fmt(v)),
          ),
          h("td.bar-cell", {}, bar(l.p, 1)),
        ),
      ),
    ),
  );
}
