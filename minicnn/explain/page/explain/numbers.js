// @ts-check
// Where one number comes from: the terms of its sum, forward and backward.
//
// An explanation is {form, …, total, value}; `form` says how to draw it:
//   window    groups of taps {row, col, i, j, input, weight, product, padded}, one per channel; of
//             the size `grid` where the window `w` is not one over the input
//   separable   the same, and `terms` that mix the groups
//   terms     a list {label, input, weight, product}, with a title of its own or the usual one
//   pool      taps of one channel, and which of them is the maximum
//   global    the same for a whole map
//   steps     lines {text, value}, one after the other
//   curve     a function's graph and the point on it
//   softmax   lines of all classes
//   copy      where the number came from, unchanged
import { offsetOf } from "page/engine/arrays.js";
import { layerWindow } from "page/engine/windows.js";
import { biasAt, weightAt } from "page/explain/terms.js";
import { KINDS } from "page/kinds/table.js";
import { words } from "page/words.js";

// Why this page cannot explain a cell, or "".
export function missing(net, id, at) {
  const node = net.nodes[id];
  if (!node.known) {
    return words("page.foreign", { type: node.type });
  }
  if (!net.inputs(id).every(Boolean)) {
    return words("page.input_left_out");
  }
  for (const p of Object.values(node.params)) {
    if (p.kept && !p.kept.includes(at.at(-1))) {
      const many = p.kept.length > 24;
      const some = many ? p.kept.length : p.kept.join(", ");
      const key = `page.${many ? "few" : "these"}_${node.type === "Dense" ? "units" : "maps"}`;
      return words(key, { some, n: p.shape.at(-1), k: at.at(-1) });
    }
  }
  return "";
}

/**
 * @param {Net} net
 * @param {number} id
 * @param {number[]} at
 * @returns {Record<string, any>}
 */
export function explain(net, id, at) {
  const node = net.nodes[id];
  const layer = net.layer(id);
  const xs = net.inputs(id);
  const x = xs[0];
  const y = net.y(id);
  const real = y ? y.data[offsetOf(y.shape, at)] : NaN;
  const last = at[at.length - 1];
  const given = { layer, node, xs, x, at, last, y, p: layer.params, c: layer.config };
  const w = layerWindow(layer, x.shape);
  const found = KINDS[node.type]?.explain?.({ ...given, w }) ?? {
    form: "none",
    value: NaN,
    total: NaN,
  };
  if (found.activation === "softmax") {
    const scores = allScores({ ...given, w });
    if (!scores.some(Number.isNaN)) {
      Object.assign(found, {
        scores,
        value: softmaxOf(scores)[last],
        softmax: softmaxLines(scores),
      });
    }
  }
  return { node, at, real, ...found };
}

// The term that matters most: {at, input}, a place in the layer's input (forward) or in its output
// (backward), or null.
export function largestTerm(net, e) {
  const most = (list, key) =>
    list.reduce((a, b) => (a && Math.abs(a[key]) >= Math.abs(b[key]) ? a : b), null);
  const inner = (group) =>
    most(
      group.taps.filter((t) => !t.padded),
      "product",
    );
  const spot = (row, col, channel) => (e.line ? [row, channel] : [row, col, channel]);
  switch (e.form) {
    case "window": {
      const found = most(
        e.groups
          .map((g) => ({ g, t: inner(g) }))
          .filter((f) => f.t)
          .map((f) => ({ ...f, product: f.t.product })),
        "product",
      );
      if (!found) return null;
      const { row, col } = found.t;
      const { channel } = found.g;
      return { at: spot(row, col, e.filter?.(row, col, channel) ?? channel), input: 0 };
    }
    case "separable": {
      const group = most(e.groups, "scaled");
      const tap = inner(group);
      return tap && { at: spot(tap.row, tap.col, group.channel), input: 0 };
    }
    case "terms": {
      const t = most(e.terms, "product");
      if (!t) return null;
      return {
        at: t.row === undefined ? [...e.at.slice(0, -1), t.index] : spot(t.row, t.col, e.at.at(-1)),
        input: 0,
      };
    }
    case "pool":
    case "global": {
      const t =
        e.taps.find((tap) => tap.won) ??
        most(
          e.taps.filter((tap) => !tap.padded),
          "input",
        );
      return { at: spot(t.row, t.col, e.at.at(-1)), input: 0 };
    }
    case "copy": {
      const f = most(e.from, "value");
      return f && { at: f.at, input: f.input ?? 0 };
    }
    case "steps":
    case "curve":
    case "softmax":
      return { at: e.at, input: 0 };
    default:
      return null;
  }
}

// What the softmax gets for this place: the sum before it of each map or unit.
function allScores(given) {
  const { layer, x, y, at } = given;
  if (["Activation", "Softmax"].includes(layer.type)) {
    const n = x.shape.at(-1);
    const start = offsetOf(x.shape, [...at.slice(0, -1), 0]);
    return Array.from(x.data.slice(start, start + n));
  }
  const units = Array.from({ length: y.shape.at(-1) }, (_, k) => k);
  if (layer.type !== "Dense") {
    const ofMap = (k) => ({ ...given, at: [...at.slice(0, -1), k], last: k });
    const ofKind = /** @type {(cell: any) => Record<string, any>} */ (KINDS[layer.type].explain);
    return units.map((k) => ofKind(ofMap(k)).z);
  }
  const { kernel } = layer.params;
  const start = offsetOf(x.shape, [...at.slice(0, -1), 0]);
  return units.map((u) => {
    let z = biasAt(layer, u) ?? 0;
    for (let k = 0; k < kernel.shape[0]; k++) z += x.data[start + k] * weightAt(kernel, k, u);
    return z;
  });
}

function softmaxOf(scores) {
  const top = Math.max(...scores);
  const e = scores.map((s) => Math.exp(s - top));
  const sum = e.reduce((a, b) => a + b);
  return e.map((v) => v / sum);
}

export function softmaxLines(scores) {
  const top = Math.max(...scores);
  const p = softmaxOf(scores);
  const e = scores.map((s) => Math.exp(s - top));
  const sum = e.reduce((a, b) => a + b);
  return { top, sum, lines: scores.map((z, k) => ({ k, z, shifted: z - top, e: e[k], p: p[k] })) };
}

/**
 * d loss / d one number of the layer's input; null where the page does not know it.
 * @param {Net} net
 * @param {number} id
 * @param {number[]} at
 * @returns {Record<string, any> | null}
 */
export function explainInput(net, id, at, which = 0) {
  const node = net.nodes[id];
  const layer = net.layer(id);
  const xs = net.inputs(id);
  const x = xs[which];
  const dz = net.dz(id);
  const dy = net.dy(id);
  const y = net.y(id);
  if (!dz) return null;
  const w = layerWindow(layer, x.shape);
  const given = { net, layer, node, xs, x, at, k: at.at(-1), which, dz, dy, y, w };
  const kind = KINDS[node.type];
  const found = kind?.explainInput?.({ ...given, p: layer.params, c: layer.config }) ?? {
    form: "none",
    total: NaN,
  };
  const source = net.nodes[id].inputs[which];
  const gradient = net.dy(source);
  const uses = net.nodes[source].consumers.length;
  const real = gradient ? gradient.data[offsetOf(gradient.shape, at)] : NaN;
  return { node, at, uses, real, ...found, value: found.value ?? found.total };
}
