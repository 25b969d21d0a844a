// The two views, the whole network and one layer, and what stands in the layer's middle.
import { bar, curve, mapView, numberGrid, sumLine, termTable, verdict } from "page/cells.js";
import {
  allZeros,
  colourPicture,
  count,
  exact,
  fmt,
  h,
  legend,
  legendOfEach,
  mapPicture,
  percent,
  screen_,
  shapeText,
  topOf,
  unitFor,
  vectorPicture,
  vectorShape,
  zeroMaps,
} from "page/draw.js";
import { offsetOf, size, unravel } from "page/engine/arrays.js";
import { SCALAR, activationOf, reluOf } from "page/engine/functions.js";
import { layerWindow, place } from "page/engine/windows.js";
import { explain, explainInput, largestTerm, missing, softmaxLines } from "page/explain/numbers.js";
import { explainWeight } from "page/explain/weights.js";

// -- arrays as pictures ---------------------------------------------------------------------------

// How an array of this shape is laid out: {rows, columns, channels, at(row, col, channel), place(at)}.
export function layout(shape) {
  if (shape.length === 3) {
    const [rows, columns, channels] = shape;
    return { rows, columns, channels, map: true, at: (r, c, k) => [r, c, k], place: (at) => at };
  }
  const n = size(shape);
  const [rows, columns] = shape.length === 2 ? shape : vectorShape(n);
  return {
    rows,
    columns,
    channels: 1,
    map: false,
    at: (r, c) => unravel(shape, Math.min(r * columns + c, n - 1)),
    place: (at) => [Math.floor(offsetOf(shape, at) / columns), offsetOf(shape, at) % columns, 0],
  };
}

const tops = new WeakMap();
function topFor(a) {
  if (!tops.has(a.data)) tops.set(a.data, topOf(a.data));
  return tops.get(a.data);
}

function picture(net, id, a, channel) {
  if (a.shape.length !== 3) return vectorPicture(a.data, topFor(a));
  if (id === 0 && channel === -1) return colourPicture(a, net.range);
  return mapPicture(a, channel, topFor(a));
}

// Draws when it comes into sight.
const watcher = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      watcher.unobserve(entry.target);
      entry.target.paint?.();
    }
  },
  { rootMargin: "200px" },
);

function lazyPicture(make, attributes = {}) {
  const canvas = h("canvas", { "aria-hidden": "true", ...attributes });
  canvas.paint = () => {
    const source = make();
    if (!source) return;
    canvas.width = source.width;
    canvas.height = source.height;
    canvas.getContext("2d").drawImage(source, 0, 0);
  };
  if (screen_.printing) canvas.paint();
  else watcher.observe(canvas);
  return canvas;
}

// What is shown of a layer: its outputs, or their gradients.
const shown = (app, id) => (app.state.mode === "backward" ? app.net.dy(id) : app.net.y(id));

const isPhoto = (net, id) => id === 0 && [1, 3].includes(net.nodes[0].shape[2]);

// -- the whole network ----------------------------------------------------------------------------

function overviewItems(net, open) {
  const sizes = new Map();
  const items = [];
  const place_ = new Map();
  net.nodes.forEach((n) => sizes.set(n.group, (sizes.get(n.group) ?? 0) + 1));
  const folding = net.nodes.length > 24;
  for (const node of net.nodes) {
    const last = items.at(-1);
    const group = node.group;
    const folds = folding && group && sizes.get(group) > 2 && !open.has(group);
    if (folds && last?.folded === group) last.ids.push(node.id);
    else items.push({ ids: [node.id], folded: folds ? group : null, group: folding ? group : "" });
    place_.set(node.id, items.length - 1);
  }
  const lanes = new Map();
  items.forEach((item, n) => {
    const sources = new Set(
      item.ids
        .flatMap((id) => net.nodes[id].inputs)
        .map((id) => place_.get(id))
        .filter((k) => k !== n),
    );
    item.sources = [...sources];
    item.column = Math.max(-1, ...item.sources.map((k) => items[k].column)) + 1;
    const before = item.sources.reduce(
      (best, k) => (best === null || items[k].column > items[best].column ? k : best),
      null,
    );
    let lane = before === null ? 0 : items[before].lane;
    while (lanes.get(item.column)?.has(lane)) lane++;
    item.lane = lane;
    if (!lanes.has(item.column)) lanes.set(item.column, new Set());
    lanes.get(item.column).add(lane);
    item.id = item.ids.at(-1);
  });
  return items;
}

const MOVES = new Set(["InputLayer", "Flatten", "Dropout", "Reshape"]);

export function overview(app) {
  const { net, state } = app;
  const items = overviewItems(net, state.open);
  const back = state.mode === "backward";
  const lanes = Math.max(...items.map((i) => i.lane)) + 1;
  const columns = Math.max(...items.map((i) => i.column)) + 1;
  const narrow = screen_.width < 821;
  const room = screen_.width - (narrow ? 0 : 330);
  const tall = Math.max(360, screen_.height - 165);
  // As wide as the window allows if all columns fit into it; else they scroll.
  const fits = !narrow && columns * 96 <= room;
  const gap = fits ? (room / columns > 150 ? 64 : 50) : items.some((i) => i.folded) ? 70 : 58;
  const wide = fits ? Math.floor(Math.min(104, room / columns - gap)) : narrow ? 56 : 64;
  const thumb = wide;
  const stepX = wide + gap;
  const many = narrow
    ? lanes > 1
      ? 2
      : 4
    : Math.max(2, Math.min(8, Math.floor((tall / lanes - 76) / (thumb + 4))));
  const laneY = many * (thumb + 4) + 74;
  const middle = (lane) => lane * laneY + 44 + (many * (thumb + 4)) / 2;
  const taken = new Set(items.map((i) => `${i.lane} ${i.column}`));
  const roads = new Map();
  const free = (lane, from, to) =>
    !Array.from({ length: to - from - 1 }, (_, n) => taken.has(`${lane} ${from + 1 + n}`)).some(
      Boolean,
    );
  // A way past other layers: along a lane that is free, else below the lane it starts in.
  const road = (from, to) => {
    const lane = [from.lane, to.lane].find((l) => free(l, from.column, to.column));
    if (lane !== undefined) return middle(lane);
    const n = roads.get(from.lane) ?? 0;
    roads.set(from.lane, n + 1);
    return (from.lane + 1) * laneY - 2 - 5 * n;
  };
  const svg = h("svg.edges", { "aria-hidden": "true" });
  const cards = [];
  const labels = [];
  const reaches = [];
  const label = (x, y, text, more = "") =>
    labels.push(h("text", { x, y, class: `edge-text${more}` }, text));
  for (const item of items) {
    const x = item.column * stepX;
    const y0 = middle(item.lane);
    for (const k of item.sources) {
      const from = items[k];
      const x0 = from.column * stepX + wide;
      const yFrom = middle(from.lane);
      const long = item.column - from.column > 1;
      const y = long ? road(from, item) : y0;
      const x1 = long ? x0 + gap - 6 : x0;
      const x2 = long ? x - gap + 6 : x;
      reaches.push([
        from.column,
        item.column,
        Math.min(yFrom, y, y0) - 22,
        Math.max(yFrom, y, y0) + 16,
      ]);
      const bend = (xa, ya, xb, yb) => `C${(xa + xb) / 2} ${ya} ${(xa + xb) / 2} ${yb} ${xb} ${yb}`;
      svg.append(
        h("path", {
          d: long
            ? `M${x0} ${yFrom} ${bend(x0, yFrom, x1, y)} L${x2} ${y} ${bend(x2, y, x - 3, y0)}`
            : `M${x0} ${yFrom} ${bend(x0, yFrom, x - 3, y0)}`,
          class: `edge${back ? " back" : ""}`,
        }),
      );
      if (long) label((x1 + x2) / 2, y - 6, net.shape(from.id).join("×"));
    }
    const near = item.sources
      .filter((k) => item.column - items[k].column === 1)
      .map((k) => items[k])
      .sort((a, b) => Math.abs(a.lane - item.lane) - Math.abs(b.lane - item.lane))[0];
    if (near) {
      const shape = net.shape(near.id);
      const lines =
        shape.length === 3 ? [`×${shape[2]}`, `${shape[0]}×${shape[1]}`] : [shape.join("×")];
      lines.forEach((text, n) => label(x - gap / 2, y0 - 7 - 12 * n, text));
    }
    const total = item.ids.reduce((n, id) => n + net.nodes[id].count, 0);
    if (total) {
      [count(total), "weights"].forEach((text, n) =>
        label(x - gap / 2, y0 + 17 + 12 * n, text, " weights"),
      );
    }
    reaches.push([item.column, item.column, item.lane * laneY, (item.lane + 1) * laneY]);
    cards.push([item.column, card(app, item, { x, y: item.lane * laneY, wide, thumb, many })]);
  }
  const width = columns * stepX;
  const height = lanes * laneY + (roads.size ? 14 : 8);
  svg.setAttribute("width", width);
  svg.setAttribute("height", height);
  svg.append(...labels);
  // On paper nothing scrolls: what is wider than the sheet goes on below.
  const each = screen_.printing ? Math.max(1, Math.floor((room - 30) / stepX)) : columns;
  const strips = [];
  for (let first = 0; first < columns; first += each) {
    const end = Math.min(columns, first + each);
    const here = reaches.filter(([from, to]) => from < end && to >= first);
    const top = screen_.printing ? Math.max(0, Math.min(...here.map((reach) => reach[2]))) : 0;
    const bottom = Math.max(...here.map((reach) => reach[3]));
    const stage = h(
      "div.network",
      {
        style: {
          width: `${width}px`,
          height: `${height}px`,
          margin: `${-top}px 0 0 ${-first * stepX}px`,
        },
      },
      first ? svg.cloneNode(true) : svg,
      cards.filter(([column]) => column >= first && column < end).map(([, element]) => element),
    );
    strips.push(
      screen_.printing
        ? h(
            "div.strip-of-network",
            { style: { width: `${(end - first) * stepX}px`, height: `${bottom - top}px` } },
            stage,
          )
        : stage,
    );
  }
  const folded = items.some((i) => i.folded);
  const groups = [...new Set(net.nodes.map((n) => n.group))].filter(Boolean);
  return h(
    "section.overview",
    { "aria-label": "The whole network" },
    h(
      "div.caption",
      {},
      h(
        "p",
        {},
        back
          ? `Backward, from the right to the pixels: how L, ${net.goal}, changes with each number. Orange: more of it, more L; blue: less L.`
          : "Forward: from the photo to what the model says. Open a layer to see its maps, a map to see its cells, a cell to see its sum.",
      ),
      net.nodes.length > 24 && groups.length
        ? h(
            "button.quiet",
            {
              onclick: () => app.set({ open: new Set(folded ? groups : []) }),
              "data-focus": "fold",
            },
            folded ? "Unfold all blocks" : "Fold the blocks",
          )
        : null,
      legendOfEach("each layer’s own scale, within which 99.8 % of its numbers are"),
    ),
    h(
      "div.river",
      {},
      screen_.printing ? classPanel(app) : null,
      h(
        "div.scroller",
        {
          tabindex: 0,
          role: "group",
          "aria-label": "Layers, scroll sideways",
          "data-focus": "scroller",
          "data-scroll": "scroller",
        },
        strips,
      ),
      screen_.printing ? null : classPanel(app),
    ),
  );
}

function card(app, item, { x, y, wide, thumb, many }) {
  const { net, state } = app;
  const id = item.id;
  const node = net.nodes[id];
  const shape = net.shape(id);
  const value = shown(app, id);
  const back = state.mode === "backward";
  const openIt = (channel) => {
    if (item.folded) app.set({ open: new Set([...state.open, item.folded]) });
    else app.openLayer(back && id === 0 ? net.nodes[0].consumers[0] : id, channel);
  };
  const changed = net.alternatives.has(id);
  const thumbs = [];
  const frame = { width: `${wide}px`, height: `${many * (thumb + 4) - 4}px` };
  const why = value ? "" : back ? net.gradientReason(id) : net.reason(id);
  if (!value) thumbs.push(h("span.void", { title: why }, back ? "no gradient" : "left out"));
  else if (shape.length === 3) {
    const longer = Math.max(shape[0], shape[1]);
    const style = {
      width: `${Math.max(8, (thumb * shape[1]) / longer)}px`,
      height: `${Math.max(8, (thumb * shape[0]) / longer)}px`,
    };
    const photo = isPhoto(net, id) && !back;
    const list = photo ? (shape[2] === 1 ? [-1] : [-1, 0, 1, 2]) : strongest(value, many);
    list.slice(0, many).forEach((k) => {
      const zero = k >= 0 && zeroMaps(value)[k];
      thumbs.push(
        lazyPicture(() => picture(net, id, value, k), {
          style,
          "data-map": k,
          class: zero ? "zero" : null,
          title: k < 0 ? "the photo" : `map ${k}${zero ? ", all zeros" : ""}`,
        }),
      );
    });
    if (!photo && shape[2] > many) frame.hidden = shape[2] - many;
  } else {
    const n = size(shape);
    const [rows, columns] = n > 24 ? vectorShape(n) : [n, 1];
    const tall = Math.min(many * (thumb + 4) - 4, rows * (n > 24 ? 8 : 20));
    thumbs.push(
      lazyPicture(() => vectorPicture(value.data, topFor(value)), {
        style: {
          width: `${Math.min(wide, n > 24 ? Math.max(24, (tall * columns) / rows) : 22)}px`,
          height: `${tall}px`,
        },
      }),
    );
  }
  const label = item.folded ? item.folded.split("/").at(-1) : node.name;
  const foot = [
    value && allZeros(value.data) ? "all zeros" : "",
    frame.hidden ? `+ ${frame.hidden} map${frame.hidden > 1 ? "s" : ""}` : "",
  ]
    .filter(Boolean)
    .join(", ");
  const type = item.folded ? `${item.ids.length} layers` : node.type;
  return h(
    `button.card${item.folded ? ".folded" : ""}${changed ? ".changed" : ""}${value ? "" : ".off"}`,
    {
      style: { left: `${x}px`, top: `${y}px`, width: `${wide}px` },
      "data-focus": `card-${item.folded ?? id}`,
      "data-layer": node.name,
      title: item.folded
        ? `${item.folded}: open the block`
        : `${node.name} (${node.type}), ${shapeText(shape)}${node.count ? `, ${count(node.count)} weights: ${node.formula}` : ""}`,
      "aria-label": item.folded
        ? `Block ${item.folded}, ${item.ids.length} layers, unfold`
        : `${node.name}, ${node.type}, output ${shapeText(shape)}, ${node.count} weights${why ? `, ${back ? "no gradient" : "left out"}: ${why}` : "."} Open`,
      onclick: (event) =>
        openIt(event.target.dataset?.map === undefined ? null : Number(event.target.dataset.map)),
    },
    h("span.card-name", {}, label),
    h(
      "span.card-type",
      {},
      MOVES.has(node.type) && node.type === "InputLayer" ? "the photo" : type,
    ),
    h("span.thumbs", { style: { width: frame.width, height: frame.height } }, thumbs),
    h("span.card-foot", {}, foot),
  );
}

// The maps with the largest mean, in the order of their numbers.
function strongest(a, n) {
  const channels = a.shape[2];
  const sums = new Float64Array(channels);
  const skip = Math.max(1, Math.floor(a.data.length / channels / 2000));
  for (let p = 0; p < a.data.length / channels; p += skip) {
    for (let k = 0; k < channels; k++) sums[k] += Math.abs(a.data[p * channels + k]);
  }
  return [...sums.keys()]
    .sort((i, j) => sums[j] - sums[i])
    .slice(0, n)
    .sort((i, j) => i - j);
}

function classBars(net, limit = 10, compact = false) {
  const p = net.probabilities();
  const old = net.alternatives.has(net.output) ? net.probabilities(net.original(net.output)) : null;
  if (!p) {
    return h(
      "p.note",
      {},
      net.kind || !net.y(net.output)
        ? `No class probabilities: ${net.reason(net.output)}`
        : `This model does not end in one score per class. It gives ${shapeText(net.shape(net.output))} number${size(net.shape(net.output)) > 1 ? "s" : ""}.`,
    );
  }
  let order = [...p.keys()];
  if (order.length > limit) order = order.sort((a, b) => p[b] - p[a]).slice(0, limit);
  const best = order.reduce((a, b) => (p[b] > p[a] ? b : a));
  return h(
    "ul",
    { class: `classes${compact ? " compact" : ""}` },
    order.map((k) =>
      h(
        "li",
        { class: k === best ? "best" : "", "data-class": k, "data-p": p[k] },
        h("span.class-name", { title: net.className(k) }, net.className(k)),
        h(
          "span.class-bar",
          { "aria-hidden": "true" },
          h("span.class-fill", { style: { width: `${100 * p[k]}%` } }),
          old ? h("span.class-old", { style: { left: `${100 * old[k]}%` } }) : null,
        ),
        h(
          "span.class-p",
          {},
          old && Math.abs(old[k] - p[k]) > 5e-4 ? h("s", {}, percent(old[k])) : null,
          percent(p[k]),
        ),
      ),
    ),
  );
}

function classPanel(app) {
  const { net, state } = app;
  const back = state.mode === "backward";
  return h(
    "aside.panel.outcome",
    { "aria-label": "Outcome" },
    h("h2", {}, back ? `L: ${net.goal}` : net.kind ? "What it sees" : "What comes out"),
    back && net.y(net.output) ? (net.kind ? lossOfClass(app) : chosenNumber(app)) : null,
    classBars(net),
  );
}

function lossOfClass(app) {
  const { net } = app;
  const p = net.probabilities()[net.target];
  const pick = h(
    "select",
    {
      "aria-label": "The class of the loss",
      "data-focus": "target",
      value: net.target,
      disabled: Boolean(net.obstacleToAnother),
      onchange: (e) => app.setTarget(Number(e.target.value)),
    },
    [...net.probabilities().keys()].map((k) =>
      h("option", { value: k, selected: k === net.target ? true : null }, net.className(k)),
    ),
  );
  return [
    h("p.formula", {}, "L = −log p(", pick, ")"),
    sumLine([
      ["−", `log ${percent(p)}`, Math.log(p)],
      ["=", "L", net.loss(), true],
    ]),
    h(
      "p.note",
      {},
      "dL/dz of the scores is p − t: each class’s probability, minus 1 for the class of the loss.",
    ),
    net.obstacleToAnother
      ? h("p.note", {}, `The gradients of another class take all layers. ${net.obstacleToAnother}`)
      : null,
  ];
}

// Where no classes are told apart, backward starts from one number of the output.
function chosenNumber(app) {
  const { net } = app;
  const at = unravel(net.shape(net.output), net.target);
  const value = net.loss();
  return [
    h("p.formula", {}, `L = ${net.nodes[net.output].name}[${at.join(", ")}]`),
    value === null ? null : sumLine([["=", "", value, true]]),
    h(
      "button.quiet.follow",
      {
        "data-focus": "chosen",
        onclick: () => {
          app.setMode("forward");
          app.openAt(net.output, at);
        },
      },
      net.obstacleToAnother ? "See it" : "See it, or choose another",
    ),
    net.obstacleToAnother
      ? h("p.note", {}, `The gradients of another number take all layers. ${net.obstacleToAnother}`)
      : null,
  ];
}

// -- one layer ------------------------------------------------------------------------------------

function describe(net, id) {
  const node = net.nodes[id];
  const c = net.layer(id).config;
  const words = [];
  const by = (v) => (Array.isArray(v) ? v.join("×") : v);
  if (c.kernel_size) words.push(`${by(c.kernel_size)} kernel`);
  if (c.pool_size) words.push(`${by(c.pool_size)} window`);
  if (c.strides) words.push(`stride ${new Set(c.strides).size > 1 ? by(c.strides) : c.strides[0]}`);
  if (typeof c.padding === "string") words.push(`padding “${c.padding}”`);
  if (c.dilation_rate && Math.max(...c.dilation_rate) > 1) {
    words.push(`dilation ${by(c.dilation_rate)}`);
  }
  if (c.groups > 1) words.push(`${c.groups} groups`);
  if (c.rate !== undefined) words.push(`rate ${c.rate}`);
  const activation = activationOf({ type: node.type, config: c });
  if (activation !== "linear" && node.type !== "Softmax") {
    words.push(SCALAR[activation] ? `${activation}: ${SCALAR[activation].text}` : activation);
  }
  if (node.type === "ReLU") words.push(reluOf(c).text);
  if (!node.trainable && node.count) words.push("frozen");
  if (net.hasHalfWeights(id)) words.push("weights stored with 11 bits");
  return words.join(" · ");
}

// What cannot be looked at of a layer here, and why: {tab: reason}.
function tabsOff(net, id, back, which) {
  const { inputs, params } = net.nodes[id];
  const off = {};
  const lost = inputs.find((n) => !net.has(n));
  const missing_ = lost === undefined ? "" : net.reason(lost);
  const own = net.has(id) ? "" : net.reason(id);
  if (back) {
    const source = inputs[which] ?? inputs[0];
    off.number = net.gradientReason(source) || net.gradientReason(id) || own || missing_;
    off.weights = Object.keys(params).length ? net.gradientReason(id) || own || missing_ : "";
  } else {
    off.number = own;
    off.places = own || (net.has(0) ? "" : net.reason(0));
    off.whatif = id
      ? net.obstacle(id) || missing_
      : "The photo comes first: its pixels are changed from the next layer.";
  }
  return off;
}

export function layerView(app) {
  const { net, state } = app;
  const id = state.node;
  const node = net.nodes[id];
  const back = state.mode === "backward";
  const tabs = [
    ["number", back ? "Its gradient" : "This number"],
    ...(Object.keys(node.params).length
      ? [["weights", back ? "Weights’ gradients" : "Weights"]]
      : []),
    ...(back
      ? []
      : [
          ["places", "Where it looks"],
          ["whatif", "What if …"],
        ]),
  ];
  const off = tabsOff(net, id, back, state.which);
  const open = tabs.filter(([name]) => !off[name]).map(([name]) => name);
  const tab = open.includes(state.tab)
    ? state.tab
    : open.includes("number")
      ? "number"
      : (open[0] ?? "number");
  const reasons = new Map();
  for (const [name, text] of tabs) {
    if (off[name]) reasons.set(off[name], [...(reasons.get(off[name]) ?? []), `“${text}”`]);
  }
  const at = (by) => {
    const next = id + by;
    return next > 0 && next < net.nodes.length ? next : null;
  };
  const walk = (by, text) =>
    h(
      "button.quiet",
      {
        disabled: at(by) === null,
        "data-focus": `walk${by}`,
        "aria-label": by < 0 ? "Layer before" : "Layer after",
        title: at(by) === null ? null : net.nodes[at(by)].name,
        onclick: () => app.openLayer(at(by)),
      },
      text,
    );
  return h(
    "section.layer",
    { "aria-label": `Layer ${node.name}` },
    h(
      "header.layer-head",
      {},
      h(
        "button.quiet.back-to",
        { onclick: () => app.overview(), "data-focus": "back", title: "Esc" },
        "← Network",
      ),
      walk(-1, "‹"),
      walk(1, "›"),
      h("h2", {}, node.name, " ", h("small", {}, node.type)),
      h(
        "span.facts",
        {},
        [
          describe(net, id),
          node.count
            ? `${count(node.count)} weights${node.formula ? ` = ${node.formula}` : ""}`
            : "no weights",
          node.macs && !net.changedConfigs.size ? `${count(node.macs)} multiply-adds` : "",
        ]
          .filter(Boolean)
          .join("   ·   "),
      ),
    ),
    filmstrip(app),
    h(
      "div.tabs",
      {},
      h(
        "div.tablist",
        {
          role: "tablist",
          "aria-label": "What to look at",
          onkeydown: (event) => {
            const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
            if (!by || !open.length) return;
            const next = open[(open.indexOf(tab) + by + open.length) % open.length];
            app.set({ tab: next });
            document.getElementById(`tab-${next}`).focus();
          },
        },
        tabs.map(([name, text]) =>
          h(
            "button.tab",
            {
              role: "tab",
              id: `tab-${name}`,
              "aria-selected": String(name === tab),
              "aria-controls": "bench",
              tabindex: name === tab ? 0 : -1,
              "data-focus": `tab-${name}`,
              disabled: Boolean(off[name]),
              title: off[name] || null,
              onclick: () => app.set({ tab: name }),
            },
            text,
          ),
        ),
      ),
      transport(app, off[tab] ? "" : tab),
    ),
    [...reasons].map(([why, names]) => h("p.reason", {}, `${names.join(", ")}: not here. ${why}`)),
    h(
      "div.bench",
      { id: "bench", role: "tabpanel", "aria-labelledby": `tab-${tab}` },
      bench(app, tab),
    ),
  );
}

function filmstrip(app) {
  const { net, state } = app;
  const back = state.mode === "backward";
  const id = state.node;
  const about = back ? (net.nodes[id].inputs[state.which] ?? 0) : id;
  const a = back ? net.dy(about) : net.y(id);
  if (!a || a.shape.length !== 3) return null;
  const chosen = back ? state.inAt?.[2] : state.at[2];
  const kept = back ? null : Object.values(net.nodes[id].params).find((p) => p.kept)?.kept;
  return h(
    "div.film",
    {
      role: "listbox",
      "aria-label": back
        ? `Gradients of the maps that go into ${net.nodes[id].name}`
        : `Maps of ${net.nodes[id].name}`,
      tabindex: 0,
      "data-focus": "film",
      "data-scroll": "film",
      "aria-activedescendant": `film-${chosen}`,
      onkeydown: (event) => {
        const by = { ArrowRight: 1, ArrowLeft: -1, Home: -1e9, End: 1e9 }[event.key];
        if (by) {
          event.preventDefault();
          app.chooseMap(Math.max(0, Math.min(a.shape[2] - 1, chosen + by)));
        }
      },
    },
    Array.from({ length: a.shape[2] }, (_, k) =>
      h(
        `span.frame${k === chosen ? ".chosen" : ""}${kept && !kept.includes(k) ? ".dim" : ""}${zeroMaps(a)[k] ? ".zero" : ""}`,
        {
          role: "option",
          id: `film-${k}`,
          "aria-selected": String(k === chosen),
          ...frameName(k, zeroMaps(a)[k], kept && !kept.includes(k)),
          onclick: () => app.chooseMap(k),
        },
        lazyPicture(() => mapPicture(a, k, topFor(a))),
        h("small", {}, k),
      ),
    ),
  );
}

function frameName(k, zero, gone) {
  const name = `map ${k}${zero ? ", all zeros" : ""}${gone ? ", its kernel is left out of this page" : ""}`;
  return { "aria-label": name, title: name };
}

const ICONS = {
  first: "M2 2h2v10H2z M13 2v10L5 7z",
  prev: "M10 2v10L2 7z M11 2h2v10h-2z",
  next: "M4 2v10l8-5z M1 2h2v10H1z",
  play: "M3 1.5v11l9-5.5z",
  pause: "M3 2h3v10H3z M8 2h3v10H8z",
};
const icon = (name) =>
  h(
    "svg.icon",
    { viewBox: "0 0 14 14", width: 13, height: 13, "aria-hidden": "true" },
    h("path", { d: ICONS[name] }),
  );

function transport(app, tab) {
  if (tab !== "number") return null;
  const { state } = app;
  const button = (key, label, text, onclick) =>
    h(
      "button",
      { "aria-label": label, title: label, "data-focus": key, onclick },
      icon(key === "play" && state.playing ? "pause" : key),
      text,
    );
  return h(
    "div.transport",
    { role: "group", "aria-label": "Slide the window" },
    button("first", "To the first cell", "", () => app.move("first")),
    button("prev", "One cell back", "", () => app.move(-1)),
    button("play", state.playing ? "Pause" : "Play", state.playing ? "Pause" : "Play", () =>
      app.play(!state.playing),
    ),
    button("next", "One cell on", "", () => app.move(1)),
    h(
      "label.speed",
      {},
      "speed ",
      h("input", {
        type: "range",
        min: 1,
        max: 6,
        step: 1,
        value: state.speed,
        "data-focus": "speed",
        "aria-label": "Speed",
        oninput: (e) => {
          state.speed = Number(e.target.value);
        },
      }),
    ),
  );
}

export function bench(app, tab) {
  const { state } = app;
  if (tab === "whatif") return whatIf(app);
  if (tab === "places") return places(app);
  if (tab === "weights") return state.mode === "backward" ? weightGradients(app) : weights(app);
  return state.mode === "backward" ? backwardNumber(app) : forwardNumber(app);
}

// How large a map is drawn: two stand beside the arithmetic, on a phone above it.
const roomy = () => screen_.width >= 1600 && screen_.height >= 860;
const mapSize = () =>
  screen_.width < 700
    ? Math.min(260, (screen_.width - 46) / 2)
    : screen_.width < 1100
      ? 200
      : roomy()
        ? 380
        : 264;
const halfSize = () => (screen_.width < 821 ? Math.min(170, mapSize()) : mapSize() / 2 - 10);

// One side of the bench: a map with its caption.
function side(app, what) {
  const { caption, note, id, a, channel, marks, pad, onmove, focus, label, chooser } = what;
  const px = what.size ?? mapSize();
  if (!a) {
    return h(
      "figure.side",
      {},
      h("figcaption", {}, caption),
      h("p.void", {}, note ?? "left out of this page"),
    );
  }
  const place_ = layout(a.shape);
  const list = !place_.map && size(a.shape) <= 24;
  let body;
  if (list) body = vectorList(app, what);
  else {
    body = mapView({
      picture: picture(app.net, id, a, channel),
      height: place_.rows,
      width: place_.columns,
      pad,
      marks,
      size: px,
      label,
      at: onmove && place_.place(what.at),
      onmove: onmove && ((r, c) => onmove(place_.at(r, c, Math.max(channel, 0)))),
    });
    if (onmove) {
      body.dataset.focus = focus;
      body.addEventListener("keydown", (event) => {
        const by = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[
          event.key
        ];
        if (!by) return;
        event.preventDefault();
        const [r, c] = place_.place(what.at);
        const row = r + by[0];
        const col = c + by[1];
        if (row >= 0 && row < place_.rows && col >= 0 && col < place_.columns) {
          onmove(place_.at(row, col, Math.max(channel, 0)));
        }
      });
    }
  }
  const zero = a.shape.length === 3 && channel >= 0 && zeroMaps(a)[channel];
  return h(
    "figure.side",
    {},
    h(
      "figcaption",
      {},
      caption,
      note || zero
        ? h("small", {}, [note, zero ? "all zeros" : ""].filter(Boolean).join(", "))
        : null,
    ),
    body,
    list || (channel === -1 && isPhoto(app.net, id))
      ? null
      : legend(topFor(a), a.data, a.shape.length === 3 && a.shape[2] > 1 ? "all maps: " : ""),
    chooser,
  );
}

function vectorList(app, { id, a, onmove, at, focus, label }) {
  const { net } = app;
  const top = topFor(a);
  const chosen = at ? offsetOf(a.shape, at) : -1;
  return h(
    "ul.units",
    { "aria-label": label },
    [...a.data].map((v, k) =>
      h(
        "li",
        {},
        h(
          `button.unit${k === chosen ? ".chosen" : ""}`,
          {
            disabled: !onmove,
            "data-focus": onmove ? `${focus}-${k}` : null,
            onkeydown: (event) => {
              const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
              const to = k + (by ?? 0);
              if (!by || to < 0 || to >= a.data.length) return;
              event.preventDefault();
              event.currentTarget.closest("ul").querySelectorAll("button")[to].focus();
              onmove(unravel(a.shape, to));
            },
            "aria-pressed": String(k === chosen),
            onclick: () => onmove?.(unravel(a.shape, k)),
          },
          h("span.unit-name", {}, net.unitName(id, k)),
          bar(v, top),
          h("b", { title: exact(v) }, fmt(v)),
        ),
      ),
    ),
  );
}

// Which input (Add, Concatenate) and which of its channels the left side shows.
function inputChooser(app, source, channels, channel, apply) {
  const { net, state } = app;
  const inputs = net.nodes[state.node].inputs;
  const parts = [];
  if (inputs.length > 1) {
    parts.push(
      h(
        "label",
        {},
        "input ",
        h(
          "select",
          {
            "data-focus": "which",
            "aria-label": "Which input",
            value: state.which,
            onchange: (e) => app.set({ which: Number(e.target.value), inAt: null }),
          },
          inputs.map((i, k) =>
            h("option", { value: k, selected: k === state.which ? true : null }, net.nodes[i].name),
          ),
        ),
      ),
    );
  }
  if (channels > 1 && apply) {
    const to = (k) => apply((k + channels) % channels);
    parts.push(
      h(
        "span.stepper",
        {},
        h(
          "button",
          { "aria-label": "Channel before", "data-focus": "ch-", onclick: () => to(channel - 1) },
          "‹",
        ),
        h("span", {}, `channel ${channel} of ${channels}`),
        h(
          "button",
          { "aria-label": "Channel after", "data-focus": "ch+", onclick: () => to(channel + 1) },
          "›",
        ),
      ),
    );
  }
  return parts.length ? h("div.chooser", {}, parts) : null;
}

const outerPad = (w, shape) => {
  const after = (a) =>
    Math.max(
      0,
      (w.out[a] - 1) * w.strides[a] +
        (w.kernel[a] - 1) * w.dilation[a] +
        1 -
        w.before[a] -
        shape[a],
    );
  return [w.before[0], after(0), w.before[1], after(1)];
};

const extent = (w, a) => (w.kernel[a] - 1) * w.dilation[a] + 1;

// The window of output position (oy, ox) as marks on the input.
function windowMarks(w, oy, ox) {
  const marks = [
    {
      row: place(w, 0, oy, 0),
      col: place(w, 1, ox, 0),
      height: extent(w, 0),
      width: extent(w, 1),
      kind: "window",
    },
  ];
  if (Math.max(...w.dilation) > 1) {
    for (let i = 0; i < w.kernel[0]; i++) {
      for (let j = 0; j < w.kernel[1]; j++) {
        marks.push({
          row: place(w, 0, oy, i),
          col: place(w, 1, ox, j),
          height: 1,
          width: 1,
          kind: "tap",
        });
      }
    }
  }
  return marks;
}

const cellMark = (row, col, kind = "cell") => ({ row, col, height: 1, width: 1, kind });

function forwardNumber(app) {
  const { net, state } = app;
  const id = state.node;
  const node = net.nodes[id];
  const y = net.y(id);
  const at = state.at;
  if (id === 0) return photoOnly(app);
  if (!y) return h("p.void.wide", {}, net.reason(id));
  const why = missing(net, id, at);
  const found = why ? null : explain(net, id, at);
  // Of a concatenation only one input is behind the number.
  const only = found?.form === "copy" && !found.sum && node.inputs.length > 1;
  const which = only ? found.from[0].input : state.which;
  const source = node.inputs[which] ?? node.inputs[0];
  const x = net.y(source);
  const own = layout(y.shape);
  let marks = [];
  let pad;
  let channel = state.inChannel;
  if (found?.form === "window" || found?.form === "separable") {
    const best = found.groups.reduce((a, b) =>
      Math.abs(b.scaled ?? b.sum) > Math.abs(a.scaled ?? a.sum) ? b : a,
    );
    if (channel === null || !found.groups.some((g) => g.channel === channel)) {
      channel = best.channel;
    }
    state.inChannel = channel;
  } else if (
    x &&
    x.shape.length === 3 &&
    (channel === null ||
      !found ||
      ["pool", "global", "steps", "curve", "copy"].includes(found.form))
  ) {
    channel =
      found?.form === "copy"
        ? (found.from.find((f) => f.input === which)?.at[2] ?? 0)
        : Math.min(at.at(-1), x.shape[2] - 1);
  }
  if (found?.w) {
    marks = windowMarks(found.w, at[0], at[1]);
    pad = outerPad(found.w, x.shape);
    const winner = found.taps?.find((t) => t.won);
    if (winner) marks.push(cellMark(winner.row, winner.col));
  } else if (found?.form === "global" && found.winner) {
    marks = [cellMark(found.winner.row, found.winner.col)];
  } else if (found?.form === "copy") {
    marks = found.from
      .filter((f) => f.input === which)
      .map((f) => {
        const [r, c] = layout(x.shape).place(f.at);
        return cellMark(r, c);
      });
  } else if (["steps", "curve", "softmax"].includes(found?.form)) {
    const [r, c] = layout(x.shape).place(at);
    marks = [cellMark(r, c)];
  } else if (found?.form === "terms" && state.term !== null) {
    const [r, c] = layout(x.shape).place(unravel(x.shape, state.term));
    marks = [cellMark(r, c)];
  }
  const photo = isPhoto(net, source);
  const n = x?.shape.length === 3 ? x.shape[2] : 1;
  const free = found?.form === "window" || found?.form === "separable";
  const [r, c] = own.place(at);
  return [
    side(app, {
      caption: `in: ${net.nodes[source].name}`,
      note: x
        ? `${shapeText(x.shape)}${n > 1 ? `, channel ${channel}${photo ? ` (${["red", "green", "blue"][channel] ?? channel})` : ""}` : ""}`
        : "",
      id: source,
      a: x,
      channel: channel ?? 0,
      marks,
      pad,
      label: `Input of ${node.name}${found?.w ? `: the window starts at row ${place(found.w, 0, at[0], 0)}, column ${place(found.w, 1, at[1], 0)}` : ""}`,
      chooser: only
        ? null
        : inputChooser(app, source, n, channel, free ? (k) => app.set({ inChannel: k }) : null),
    }),
    h(
      "div.arithmetic",
      { "data-form": found?.form ?? "none" },
      why ? h("p.void", {}, why) : [arithmetic(app, found, channel), follow(app, found)],
      id === net.output && !net.kind
        ? [
            h(
              "button.quiet.follow",
              {
                "data-focus": "choose",
                disabled: Boolean(net.obstacleToAnother),
                onclick: () => app.setTarget(offsetOf(y.shape, at), "backward"),
              },
              "Go backward from this number",
            ),
            net.obstacleToAnother
              ? h("p.note", {}, `That takes all layers. ${net.obstacleToAnother}`)
              : null,
          ]
        : null,
    ),
    side(app, {
      caption: `out: ${node.name}`,
      note: placeText(at, net.unitWord(id)),
      id,
      a: y,
      channel: at[2] ?? 0,
      marks: [cellMark(r, c)],
      at,
      onmove: (to) => app.moveTo(to),
      focus: "out",
      label: `Output of ${node.name}, ${placeText(at, net.unitWord(id))}: ${fmt(y.data[offsetOf(y.shape, at)])}. Arrow keys move on.`,
    }),
  ];
}

// `word`: what stands in a row of numbers, "unit" or "number".
export const placeText = (at, word = "number") =>
  at.length === 3
    ? `row ${at[0]}, column ${at[1]}, map ${at[2]}`
    : at.length === 1
      ? `${word} ${at[0]}`
      : `place ${at.join(", ")}`;

function photoOnly(app) {
  const { net, state } = app;
  const x = net.y(0);
  const at = state.at;
  const place_ = layout(x.shape);
  const [r, c] = place_.place(at);
  return [
    side(app, {
      caption: "what the model sees",
      note: shapeText(x.shape),
      id: 0,
      a: x,
      channel: isPhoto(net, 0) ? -1 : at[2],
      marks: [cellMark(r, c)],
      at,
      onmove: (to) => app.moveTo([to[0], to[1], at[2]]),
      focus: "out",
      label: `The photo, ${placeText(at)}`,
      size: Math.min(Math.max(300, mapSize()), screen_.width - 40),
    }),
    h(
      "div.arithmetic",
      { "data-form": "photo" },
      h("h3", {}, `Pixel at ${placeText(at).replace(/, map.*/, "")}`),
      numberGrid(1, x.shape[2], (_, k) => x.data[offsetOf(x.shape, [at[0], at[1], k])], topFor(x), {
        label: "The pixel",
      }),
      h(
        "p.note",
        {},
        x.shape[2] === 3
          ? "red, green, blue: the numbers that go into the network."
          : "The numbers that go into the network.",
      ),
      net.photo ? h("img.original", { src: net.photo, alt: "The photo as it was" }) : null,
    ),
  ];
}

function arithmetic(app, e, channel) {
  const { net } = app;
  const top = (list, key) => Math.max(1e-12, ...list.map((t) => Math.abs(t[key])));
  const check = (options) => verdictOf(app, e, options);
  switch (e.form) {
    case "window":
      return windowSum(
        app,
        e,
        channel,
        e.back
          ? { a: "dL/dz", b: "kernel", of: "filter", sign: "how much each output sent back" }
          : { a: "patch", b: "kernel", of: "channel", sign: "z" },
      );
    case "separable": {
      const group = e.groups.find((g) => g.channel === channel) ?? e.groups[0];
      return [
        h("h3", {}, "First each channel by itself, then a mixture of all"),
        h(
          "div.taps",
          {},
          tapRow(app, group, e.w, { a: "patch", b: "depthwise", of: "channel" }, e),
        ),
        termTable(e.terms, {
          what: "mixture",
          heads: ["h", "pointwise"],
          limit: 7,
          name: (t) => `channel ${t.channel}`,
          onpick: (t) => app.set({ inChannel: t.channel }),
        }),
        closing(e),
        check(),
      ];
    }
    case "terms": {
      const name = (t) =>
        e.pooled
          ? `${t.label}: ${t.note}`
          : e.back
            ? net.unitName(e.node.id, t.index)
            : featureName(app, e, t);
      return [
        h(
          "h3",
          {},
          e.pooled
            ? "Each window that holds this number sends its gradient here, or not"
            : e.back
              ? "Every unit sends back its gradient × its weight"
              : `${e.terms.length} inputs, each times its weight`,
        ),
        termTable(e.terms, {
          what: "",
          heads: e.back ? ["gradient", e.pooled ? "share" : "weight"] : ["input", "weight"],
          limit: e.softmax && screen_.height < 860 ? 6 : 10,
          name,
          onpick: e.back ? null : (t) => app.set({ term: t.index }),
        }),
        e.softmax ? null : closing(e),
        !e.softmax && !e.back && net.kind === "logits" && e.node.id === net.output
          ? h(
              "details.then",
              { open: screen_.height > 860 ? true : null },
              h("summary", {}, "and then: softmax makes probabilities of the scores"),
              softmaxSteps(net, { ...e, scores: Array.from(net.y(e.node.id).data) }),
            )
          : null,
        e.softmax
          ? [
              sumLine([["Σ", "products", e.total], ...biasOf(e), ["=", "score", e.z, true]]),
              softmaxSteps(net, e),
            ]
          : null,
        check(),
      ];
    }
    case "pool": {
      const [kh, kw] = e.w.kernel;
      const limit = top(e.taps, "input");
      return [
        h(
          "h3",
          {},
          e.mean
            ? `The mean of ${e.count} pixels${e.count < e.taps.length ? ": padding is not counted" : ""}`
            : "The largest one wins",
        ),
        h(
          "div.taps",
          {},
          h(
            "div.tap-row",
            {},
            numberGrid(
              kh,
              kw,
              (i, j) => {
                const t = e.taps[i * kw + j];
                return {
                  value: t.input,
                  padded: t.padded,
                  text: e.mean ? "" : "−∞",
                  mark: t.won ? "won" : t.tied ? "tied" : "",
                };
              },
              limit,
              { label: "The window" },
            ),
          ),
        ),
        e.ties
          ? h(
              "p.note",
              {},
              `${e.ties + 1} pixels are equally large: the first in reading order gets the gradient.`,
            )
          : null,
        e.mean
          ? sumLine([
              ["Σ", "sum", e.sum],
              ["÷", "pixels", e.count],
              ["=", "", e.value, true],
            ])
          : sumLine([["max", "", e.value, true]]),
        check(),
      ];
    }
    case "global":
      return [
        h(
          "h3",
          {},
          e.mean ? `The mean of all ${e.count} pixels of the map` : "The largest pixel of the map",
        ),
        e.mean
          ? termTable(
              e.taps.map((t) => ({
                label: `(${t.row}, ${t.col})`,
                input: t.input,
                weight: 1 / e.count,
                product: t.input / e.count,
              })),
              { what: "pixel", heads: ["value", "share"], limit: 6 },
            )
          : h(
              "p.note",
              {},
              `at row ${e.winner.row}, column ${e.winner.col}${e.ties ? `, and ${e.ties} others just as large: they share the gradient` : ""}`,
            ),
        e.mean
          ? sumLine([
              ["Σ", "sum", e.sum],
              ["÷", "pixels", e.count],
              ["=", "", e.value, true],
            ])
          : sumLine([["max", "", e.value, true]]),
        check(),
      ];
    case "steps":
      return [
        h("h3", {}, "Step by step"),
        h(
          "ol.steps",
          {},
          e.lines.map(([name, says, v], n) =>
            h(
              "li",
              {},
              h("b.step-name", {}, name),
              h("span", {}, says),
              h("b", { class: n === e.lines.length - 1 ? "strong" : "", title: exact(v) }, fmt(v)),
            ),
          ),
        ),
        check(),
      ];
    case "curve":
      return [
        h("h3", {}, `y = ${e.text}`),
        curve(e.f.y, e.input, e.text, e.f.corners),
        sumLine([
          ["", "x", e.input],
          ["→", "y", e.value, true],
        ]),
        check(),
      ];
    case "softmax":
      return [h("h3", {}, "Scores become probabilities"), softmaxSteps(net, e), check()];
    case "copy":
      return [
        h("h3", {}, e.sum ? "Added up" : e.from.length ? "Handed on" : "Padding"),
        h("p.note", {}, e.text),
        h(
          "ul.copies",
          {},
          e.from.map((f) =>
            h(
              "li",
              {},
              f.back ? "gradient at " : `${net.nodes[e.node.inputs[f.input]].name}: `,
              placeText(f.at),
              h("b", { title: exact(f.value) }, fmt(f.value)),
            ),
          ),
        ),
        sumLine([["=", "", e.value ?? e.total, true]]),
        check(),
      ];
    default:
      return h("p.void", {}, "This page cannot take this number apart.");
  }
}

function featureName(app, e, t) {
  const { net } = app;
  const source = net.nodes[e.node.inputs[0]];
  if (source.type === "Dropout") return featureName(app, { node: source }, t);
  if (source.type === "Flatten") {
    const shape = net.shape(source.inputs[0]);
    if (shape.length === 3) {
      const [r, c, k] = unravel(shape, t.index);
      return `(${r}, ${c}) map ${k}`;
    }
  }
  return source.type.startsWith("Global") ? `map ${t.index}` : `feature ${t.index}`;
}

function verdictOf(app, e, options = {}) {
  const { net, state } = app;
  if (Number.isNaN(e.value)) {
    return h(
      "p.verdict",
      {},
      "Softmax takes the scores of all classes, whose kernels are not all in this page. minicnn says ",
      h("b", { title: exact(e.real) }, fmt(e.real)),
      ".",
    );
  }
  const rounded =
    net.isRounded(e.node.id) || (state.mode === "backward" && net.arrays.some((a) => a.half));
  const tolerance = rounded || (net.changed && net.arrays.some((a) => a.half)) ? 2e-2 : 1e-4;
  if (state.mode === "backward") {
    if (e.uses > 1 && e.form) {
      return h(
        "p.verdict",
        {},
        `This is one of ${e.uses} ways: together they give `,
        h("b", {}, fmt(e.real)),
        ".",
      );
    }
    const stored = net.nodes[e.node.inputs?.[state.which] ?? 0]?.dy !== null && net.asStored;
    return verdict(e.value, e.real, {
      tolerance,
      rounded,
      says: stored ? "minicnn says" : "the page’s backward pass says",
      ...options,
    });
  }
  const changed = net.alternatives.has(e.node.id);
  const says = changed
    ? "the changed network says"
    : net.isStored(e.node.id)
      ? "minicnn says"
      : "the page’s forward pass says";
  return verdict(e.value, e.real, { tolerance, rounded, says, ...options });
}

// On to the number that matters most for this one: towards the photo, or towards the loss.
function follow(app, e) {
  const { net, state } = app;
  const back = state.mode === "backward";
  const next = largestTerm(net, e);
  if (!next || !next.at) return null;
  if (!back) {
    const source = e.node.inputs[next.input];
    return h(
      "button.quiet.follow",
      { "data-focus": "follow", onclick: () => app.openAt(source, next.at) },
      `↤ Its largest term comes from ${net.nodes[source].name}, ${placeText(next.at)}`,
    );
  }
  const after = e.node.consumers[0];
  if (after === undefined) {
    return h(
      "p.note",
      {},
      net.kind
        ? "This is the last layer: its gradient comes from the loss."
        : "This is the last layer: dL/dy is 1 for the chosen number, and 0 for all others.",
    );
  }
  const place_ =
    e.form === "steps" && net.shape(e.node.id).length < e.at.length ? [e.at.at(-1)] : next.at;
  return h(
    "button.quiet.follow",
    {
      "data-focus": "follow",
      onclick: () => app.openAt(after, place_, net.nodes[after].inputs.indexOf(e.node.id)),
    },
    `Its largest part comes from ${e.node.name}, ${placeText(place_)} ↦`,
  );
}

function closing(e) {
  const parts = [["Σ", "products", e.total]];
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

// A bias of zero is one that training has not moved; a layer without any has none to add.
const biasOf = (e) =>
  e.bias === null ? [] : [["+", e.bias === 0 ? "bias: zero" : "bias", e.bias]];

function tapRow(app, group, w, names, e) {
  const [kh, kw] = w.kernel;
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
        { label: `${what} of ${names.of} ${group.channel}` },
      ),
    );
  return h(
    "div.tap-row",
    {},
    h(
      "button.tag",
      {
        onclick: () => app.pickGroup(group.channel, e),
        title: `show this ${names.of} beside`,
        "data-focus": `group-${group.channel}`,
      },
      `${names.of} ${group.channel}`,
    ),
    grid("input", inTop, names.a, true),
    h("span.sign", {}, "×"),
    grid("weight", kTop, names.b, false),
    h(
      "div.equals",
      {},
      kw <= 5 ? [h("span.sign", {}, "="), grid("product", pTop, "products", true)] : null,
      h("span.sign", {}, "Σ"),
      h("b.group-sum", { title: exact(group.sum) }, fmt(group.sum)),
    ),
  );
}

function windowSum(app, e, channel, names) {
  const { state } = app;
  const cells = e.w.kernel[0] * e.w.kernel[1];
  const visible = state.more + (screen_.height > 860 ? 2 : 0);
  if (cells === 1 && e.groups.length > 1) {
    const terms = e.groups.map((g) => ({ ...g.taps[0], channel: g.channel }));
    return [
      h("h3", {}, `A 1×1 kernel: ${terms.length} ${names.of}s, each times its weight`),
      termTable(terms, {
        heads: [names.a === "patch" ? "input" : "dL/dz", "weight"],
        limit: 10,
        name: (t) => `${names.of} ${t.channel}`,
        onpick: (t) => app.pickGroup(t.channel, e),
      }),
      closing(e),
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
    h(
      "h3",
      {},
      e.back
        ? e.hidden
          ? "What the depthwise half of the layer sent back"
          : `${e.groups.length} ${names.of}${e.groups.length > 1 ? "s" : ""}, each sends its gradient × its weight`
        : `${e.groups.length} ${names.of}${e.groups.length > 1 ? "s" : ""}, each the patch times the kernel`,
    ),
    h(
      "div.taps",
      {},
      shownGroups.map((g) => tapRow(app, g, e.w, names, e)),
      rest.length
        ? h(
            "p.rest",
            {},
            `${rest.length} more ${names.of}${rest.length > 1 ? "s" : ""}: Σ `,
            h("b", {}, fmt(rest.reduce((s, g) => s + g.sum, 0))),
            " ",
            h(
              "button.quiet",
              { "data-focus": "more", onclick: () => app.set({ more: state.more + 16 }) },
              "show more",
            ),
          )
        : null,
    ),
    e.softmax ? softmaxSteps(app.net, e) : closing(e),
    verdictOf(app, e),
  ];
}

function softmaxSteps(net, e) {
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
        ["", "score z", `z − ${fmt(found.top)}`, "e^…", `÷ ${fmt(found.sum)}`, ""].map((t) =>
          h("th", { scope: "col" }, t),
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

// -- backward -------------------------------------------------------------------------------------

function backwardNumber(app) {
  const { net, state } = app;
  const id = state.node;
  const node = net.nodes[id];
  const source = node.inputs[state.which] ?? node.inputs[0];
  const dx = net.dy(source);
  const dz = net.dz(id);
  const x = net.y(source);
  if (!dx || !dz || !x) {
    return h(
      "p.void.wide",
      {},
      net.gradientReason(source) || net.gradientReason(id) || net.reason(source),
    );
  }
  const at = state.inAt;
  const partial = Object.values(node.params).some((p) => p.kept);
  const found = partial || !node.known ? null : explainInput(net, id, at, state.which);
  const own = layout(dx.shape);
  const out = layout(dz.shape);
  const [r, c] = own.place(at);
  let channel = state.outChannel;
  let marks = [];
  if (found?.form === "window" && !found.hidden) {
    const best = found.groups.reduce((a, b) => (Math.abs(b.sum) > Math.abs(a.sum) ? b : a));
    if (channel === null || !found.groups.some((g) => g.channel === channel)) {
      channel = best.channel;
    }
    state.outChannel = channel;
  } else if (out.map) {
    channel =
      found?.form === "copy" ? (found.from[0]?.at[2] ?? 0) : Math.min(at.at(-1), out.channels - 1);
  }
  if (found?.w || found?.pooled) {
    const taps = found.pooled ? found.terms : found.groups[0].taps.filter((t) => !t.padded);
    if (taps.length) {
      const rows = taps.map((t) => t.row);
      const cols = taps.map((t) => t.col);
      marks.push({
        row: Math.min(...rows),
        col: Math.min(...cols),
        height: Math.max(...rows) - Math.min(...rows) + 1,
        width: Math.max(...cols) - Math.min(...cols) + 1,
        kind: "window",
      });
    }
  } else if (found?.form === "copy") {
    marks = found.from.map((f) => {
      const [a, b] = out.place(f.at);
      return cellMark(a, b);
    });
  } else if (found?.form === "steps" && out.map) {
    marks = dz.shape[0] === dx.shape[0] ? [cellMark(r, c)] : [];
  }
  return [
    side(app, {
      caption: `dL/d ${net.nodes[source].name}`,
      note: placeText(at, net.unitWord(source)),
      id: source,
      a: dx,
      channel: at[2] ?? 0,
      marks: [cellMark(r, c)],
      at,
      onmove: (to) => app.moveTo(to),
      focus: "out",
      label: `Gradient of the input of ${node.name}, ${placeText(at, net.unitWord(source))}: ${fmt(dx.data[offsetOf(dx.shape, at)])}. Arrow keys move on.`,
      chooser: inputChooser(app, source, 1, 0, null),
    }),
    h(
      "div.arithmetic",
      { "data-form": found?.form ?? "none" },
      found
        ? [arithmetic(app, found, channel), follow(app, found)]
        : h(
            "p.void",
            {},
            node.known
              ? `${net.obstacle(id)} All of them send gradients back: the sum cannot be shown.`
              : net.obstacle(id),
          ),
    ),
    side(app, {
      caption: `dL/dz of ${node.name}`,
      note: "before the activation" + (out.map ? `, map ${channel}` : ""),
      id,
      a: dz,
      channel: channel ?? 0,
      marks,
      label: `Gradient of the output of ${node.name}`,
      chooser:
        found?.form === "window" && out.channels > 1
          ? h(
              "div.chooser",
              {},
              h(
                "span.stepper",
                {},
                h(
                  "button",
                  {
                    "aria-label": "Filter before",
                    "data-focus": "f-",
                    onclick: () =>
                      app.set({ outChannel: (channel - 1 + out.channels) % out.channels }),
                  },
                  "‹",
                ),
                h("span", {}, `filter ${channel} of ${out.channels}`),
                h(
                  "button",
                  {
                    "aria-label": "Filter after",
                    "data-focus": "f+",
                    onclick: () => app.set({ outChannel: (channel + 1) % out.channels }),
                  },
                  "›",
                ),
              ),
            )
          : null,
    }),
  ];
}

function weightGradients(app) {
  const { net, state } = app;
  const id = state.node;
  const node = net.nodes[id];
  const names = Object.keys(node.params).filter((n) => !n.startsWith("moving_"));
  const name = names.includes(state.weight?.name) ? state.weight.name : names[0];
  const p = net.param(id, name);
  const dz = net.dz(id);
  const x = net.inputs(id)[0];
  if (!dz || !x || !p) {
    return h("p.void.wide", {}, net.gradientReason(id) || net.reason(node.inputs[0]));
  }
  let at =
    state.weight?.name === name
      ? state.weight.at
      : p.shape.map((n, a) => (a < 2 && p.shape.length === 4 ? n >> 1 : 0));
  if (at.length !== p.shape.length) at = p.shape.map(() => 0);
  const found = explainWeight(net, id, name, at);
  const pick = (to) => app.set({ weight: { name, at: to } });
  const axis = (a, label) =>
    h(
      "label",
      {},
      `${label} `,
      h("input", {
        type: "number",
        min: 0,
        max: p.shape[a] - 1,
        value: at[a],
        "data-focus": `axis-${a}`,
        "aria-label": label,
        onchange: (e) =>
          pick(
            at.map((v, k) =>
              k === a
                ? Math.max(0, Math.min(p.shape[a] - 1, Math.round(Number(e.target.value)) || 0))
                : v,
            ),
          ),
      }),
    );
  const labels =
    p.shape.length === 4
      ? [
          "row",
          "column",
          "channel",
          name === "depthwise_kernel" || node.type === "DepthwiseConv2D" ? "multiplier" : "filter",
        ]
      : p.shape.length === 2
        ? ["feature", "unit"]
        : [
            node.type === "BatchNormalization"
              ? dz.shape.length === 3
                ? "map"
                : "number"
              : node.type === "Dense"
                ? "unit"
                : "filter",
          ];
  const head = h(
    "div.pickers",
    {},
    h(
      "label",
      {},
      "weight ",
      h(
        "select",
        {
          value: name,
          "data-focus": "wname",
          "aria-label": "Weight",
          onchange: (e) => app.set({ weight: { name: e.target.value, at: [] } }),
        },
        names.map((n) => h("option", { value: n, selected: n === name ? true : null }, n)),
      ),
    ),
    p.shape.map((_, a) => axis(a, labels[a])),
  );
  if (!found) {
    return h(
      "div.arithmetic.wide",
      {},
      head,
      h("p.void", {}, "Only some kernels are in this page: this gradient cannot be taken apart."),
    );
  }
  const maps = dz.shape.length === 3;
  const best = [...found.terms].sort((a, b) => Math.abs(b.product) - Math.abs(a.product))[0];
  const [kh, kw] = p.shape;
  const spatial = p.shape.length === 4 && kh * kw > 1;
  const entries = spatial
    ? Array.from(
        { length: kh * kw },
        (_, k) => explainWeight(net, id, name, [Math.floor(k / kw), k % kw, at[2], at[3]]).total,
      )
    : [];
  const most = Math.max(1e-12, ...entries.map(Math.abs));
  const kernel = spatial
    ? numberGrid(
        kh,
        kw,
        (i, j) => ({
          value: entries[i * kw + j],
          mark: i === at[0] && j === at[1] ? "won" : "",
          onclick: () => pick([i, j, at[2], at[3]]),
        }),
        most,
        { label: "Gradient of the kernel" },
      )
    : null;
  const marks = best && maps ? [cellMark(best.xrow, best.xcol)] : [];
  const inChannel =
    x.shape.length === 3
      ? ["kernel", "depthwise_kernel"].includes(name)
        ? node.type === "Conv2D"
          ? Math.floor(at[3] / (p.shape[3] / (net.layer(id).config.groups ?? 1))) * p.shape[2] +
            at[2]
          : at[2]
        : Math.min(at.at(-1), x.shape[2] - 1)
      : 0;
  const outUnit =
    name === "depthwise_kernel"
      ? 0
      : node.type === "DepthwiseConv2D" && name === "kernel"
        ? at[2] * p.shape[3] + at[3]
        : at.at(-1);
  return [
    side(app, {
      caption: `in: ${net.nodes[node.inputs[0]].name}`,
      note: x.shape.length === 3 ? `channel ${inChannel}` : "",
      id: node.inputs[0],
      a: x,
      channel: inChannel,
      marks: name === "bias" || name === "beta" ? [] : marks,
      label: "The input",
    }),
    h(
      "div.arithmetic",
      { "data-form": "weight" },
      h("h3", {}, `How L changes with ${name}[${at.join(", ")}]`),
      head,
      kernel
        ? h(
            "div.taps",
            {},
            h(
              "div.tap-row",
              {},
              h(
                "div.grid-of",
                {},
                h(
                  "small",
                  {},
                  `gradient of this ${kh}×${kw} kernel${unitFor(most)[1]}: click an entry`,
                ),
                kernel,
              ),
            ),
          )
        : null,
      termTable(found.terms, {
        heads: name === "bias" || name === "beta" ? ["1", "dL/dz"] : ["input", "dL/dz"],
        limit: screen_.height > 860 ? 10 : 5,
        name: (t) => (maps ? `output (${t.row}, ${t.col})` : "this example"),
      }),
      sumLine([["Σ", `${found.terms.length} products`, found.total, true]]),
      verdict(found.total, found.real, {
        without: node.trainable
          ? "The page computed this sum itself."
          : "The layer is frozen, so training does not use this gradient.",
      }),
    ),
    side(app, {
      caption: `dL/dz of ${node.name}`,
      note: maps ? `map ${outUnit}` : "",
      id,
      a: dz,
      channel: outUnit,
      marks: best && maps ? [cellMark(best.row, best.col)] : [],
      label: "The gradient of the output",
    }),
  ];
}

// -- weights as pictures --------------------------------------------------------------------------

function weights(app) {
  const { net, state } = app;
  const id = state.node;
  const node = net.nodes[id];
  const blocks = [];
  for (const [name, about] of Object.entries(node.params)) {
    const p = net.param(id, name);
    const more = [
      p.kept ? `${p.kept.length} of ${p.shape.at(-1)} are in this page` : "",
      net.arrays[about.at]?.half ? "stored with 11 bits" : "",
      allZeros(p.data) ? "all zeros" : "",
    ];
    blocks.push(
      h(
        "section.weight",
        {},
        h(
          "h3",
          {},
          name,
          " ",
          h("small", {}, [shapeText(about.shape), ...more.filter(Boolean)].join("; ")),
        ),
        weightPicture(app, id, name, p),
        stats(p.data),
      ),
    );
  }
  return h("div.weights", { "data-form": "weights" }, blocks);
}

function weightPicture(app, id, name, p) {
  const { net, state } = app;
  const here = p.kept ?? [...Array(p.shape.at(-1)).keys()];
  const top = Math.max(1e-12, topOf(p.data));
  const chosen = state.at?.at(-1) ?? 0;
  if (p.shape.length === 4 && p.shape[0] * p.shape[1] > 1) {
    const [kh, kw, channels] = p.shape;
    const n = here.length;
    const filters = here.slice(0, 96);
    const slice = (c, column) => ({
      shape: [kh, kw, 1],
      data: Float32Array.from(
        { length: kh * kw },
        (_, t) => p.data[(t * channels + c) * n + column],
      ),
    });
    const tile = (make, label, on, onclick, zero = false) =>
      h(
        `button.kernel${on ? ".chosen" : ""}${zero ? ".zero" : ""}`,
        {
          onclick,
          "aria-label": label + (zero ? ", all zeros" : ""),
          title: label + (zero ? ", all zeros" : ""),
        },
        lazyPicture(make),
        h("small", {}, label.split(" ").at(-1)),
      );
    const tileOf = (c, column, label, on, onclick) =>
      tile(
        () => mapPicture(slice(c, column), 0, top),
        label,
        on,
        onclick,
        allZeros(slice(c, column).data),
      );
    const rgb = (column) => {
      const a = {
        shape: [kh, kw, 3],
        data: Float32Array.from({ length: kh * kw * 3 }, (_, i) => p.data[i * n + column]),
      };
      const reach = Math.max(1e-12, ...a.data.map(Math.abs));
      return colourPicture(a, [127.5 / reach, 127.5]);
    };
    if (name === "kernel" && net.nodes[id].type === "Conv2D" && channels === 3) {
      return [
        h(
          "p.note",
          {},
          "Each kernel as a picture: red, green and blue are its three channels, grey is zero.",
        ),
        h(
          "div.kernels.large",
          {},
          filters.map((f, column) =>
            tile(
              () => rgb(column),
              `filter ${f}`,
              f === chosen,
              () => app.chooseMap(f),
              [0, 1, 2].every((c) => allZeros(slice(c, column).data)),
            ),
          ),
        ),
      ];
    }
    if (net.nodes[id].type === "Conv2D") {
      const column = here.indexOf(chosen);
      return column < 0
        ? h("p.void", {}, "The kernel of this map is left out of this page.")
        : [
            h(
              "p.note",
              {},
              `The kernel of map ${chosen}: one picture for each of the ${channels} channels that it looks at.`,
            ),
            h(
              "div.kernels",
              {},
              Array.from({ length: Math.min(channels, 256) }, (_, c) =>
                tileOf(c, column, `channel ${c}`, false, () =>
                  app.set({ inChannel: c, tab: "number" }),
                ),
              ),
            ),
            legend(top, p.data, "all kernels: "),
          ];
    }
    return [
      h("p.note", {}, "One picture for each channel: each is filtered by itself."),
      h(
        "div.kernels",
        {},
        Array.from({ length: Math.min(channels * n, 256) }, (_, k) =>
          tileOf(Math.floor(k / n), k % n, `channel ${k}`, k === chosen, () =>
            app.chooseMap(Math.min(k, net.shape(id).at(-1) - 1)),
          ),
        ),
      ),
      legend(top, p.data, "all kernels: "),
    ];
  }
  if (p.shape.length === 1) {
    return [
      h(
        "div.strip",
        {},
        lazyPicture(() => mapPicture({ shape: [1, p.shape[0], 1], data: p.data }, 0, top)),
      ),
      legend(top, p.data),
      h(
        "p.note",
        {},
        `of ${net.unitWord(id)} ${chosen}: `,
        h("b", { title: exact(p.data[chosen]) }, fmt(p.data[chosen])),
      ),
    ];
  }
  const n = here.length;
  const features = p.data.length / n;
  return [
    h("p.note", {}, `${features} inputs from top to bottom, ${n} outputs from left to right.`),
    h(
      "div.matrix",
      {},
      lazyPicture(
        () => mapPicture({ shape: [Math.min(features, 1024), n, 1], data: p.data }, 0, top),
        { style: { aspectRatio: `${n} / ${Math.min(features, 1024)}` } },
      ),
    ),
    features > 1024 ? h("p.note", {}, "The first 1024 inputs are drawn.") : null,
    legend(top, p.data),
  ];
}

function stats(data) {
  let sum = 0;
  let square = 0;
  let low = Infinity;
  let high = -Infinity;
  for (const v of data) {
    sum += v;
    square += v * v;
    low = Math.min(low, v);
    high = Math.max(high, v);
  }
  const mean = sum / data.length;
  const spread = Math.sqrt(Math.max(0, square / data.length - mean * mean));
  const bins = new Array(41).fill(0);
  const reach = Math.max(Math.abs(low), Math.abs(high)) || 1;
  for (const v of data) bins[Math.min(40, Math.floor(((v / reach + 1) / 2) * 41))]++;
  const most = Math.max(...bins);
  return h(
    "div.stats",
    {},
    h(
      "svg.histogram",
      {
        viewBox: "0 0 164 40",
        width: 164,
        height: 40,
        role: "img",
        "aria-label": `Histogram from ${fmt(-reach)} to ${fmt(reach)}`,
      },
      bins.map((n, i) =>
        h("rect", {
          x: i * 4,
          y: 40 - (38 * n) / most,
          width: 3,
          height: (38 * n) / most,
          class: i < 20 ? "below" : i > 20 ? "above" : "",
        }),
      ),
    ),
    h(
      "dl",
      {},
      [
        ["smallest", low],
        ["mean", mean],
        ["spread", spread],
        ["largest", high],
      ].map(([name, v]) => [h("dt", {}, name), h("dd", { title: exact(v) }, fmt(v))]),
    ),
  );
}

// -- where a map looks: its strongest places, and what it likes best ------------------------------

function strongestPlaces(a, channel, n = 6) {
  const [rows, columns, channels] = a.shape;
  const taken = [];
  const order = [];
  for (let o = 0; o < rows * columns; o++) order.push(o);
  order.sort((i, j) => a.data[j * channels + channel] - a.data[i * channels + channel]);
  const apart = Math.max(1, Math.round(Math.min(rows, columns) / 12));
  for (const o of order) {
    const r = Math.floor(o / columns);
    const c = o % columns;
    if (taken.every((t) => Math.abs(t.row - r) > apart || Math.abs(t.col - c) > apart)) {
      taken.push({ row: r, col: c, value: a.data[o * channels + channel] });
    }
    if (taken.length === n) break;
  }
  return taken;
}

function places(app) {
  const { net, state } = app;
  const id = state.node;
  const y = net.y(id);
  const x = net.y(0);
  const at = state.at;
  if (!y || !x) return h("p.void.wide", {}, net.reason(id));
  const whole = colourPicture(x, net.range);
  const own = layout(y.shape);
  const field = (where) => net.field(id, where);
  const list = own.map ? strongestPlaces(y, at[2]) : [{ value: y.data[offsetOf(y.shape, at)] }];
  const here = field(at);
  const marks = own.map
    ? list.map((p) => {
        const f = field([p.row, p.col, at[2]]);
        return {
          row: f[0],
          col: f[2],
          height: f[1] - f[0] + 1,
          width: f[3] - f[2] + 1,
          kind: "window",
        };
      })
    : [];
  const crop = (f) =>
    lazyPicture(() => {
      const canvas = document.createElement("canvas");
      const w = f[3] - f[2] + 1;
      const t = f[1] - f[0] + 1;
      canvas.width = w;
      canvas.height = t;
      canvas.getContext("2d").drawImage(whole, f[2], f[0], w, t, 0, 0, w, t);
      return canvas;
    });
  return [
    side(app, {
      caption: "the photo",
      note: own.map ? `what map ${at[2]} answers to most` : "all of it",
      id: 0,
      a: x,
      channel: isPhoto(net, 0) ? -1 : 0,
      marks: marks.length && here[1] - here[0] < x.shape[0] - 1 ? marks : [],
      label: "The photo with the places where the map is strongest",
    }),
    h(
      "div.arithmetic",
      { "data-form": "places" },
      h("h3", {}, own.map ? `Where map ${at[2]} is strongest` : "It looks at the whole photo"),
      h(
        "p.note",
        {},
        `${own.map ? `The cell at ${placeText(at)}` : `It, ${placeText(at, net.unitWord(id))},`} sees rows ${here[0]}–${here[1]} and columns ${here[2]}–${here[3]} of the photo: ${here[1] - here[0] + 1} × ${here[3] - here[2] + 1} pixels.`,
      ),
      own.map
        ? h(
            "div.crops",
            {},
            list.map((p) =>
              h(
                "button.crop",
                {
                  title: `row ${p.row}, column ${p.col}`,
                  "aria-label": `Row ${p.row}, column ${p.col}, ${fmt(p.value)}: show this number`,
                  onclick: () => {
                    app.set({ at: [p.row, p.col, at[2]], tab: "number" });
                  },
                },
                crop(field([p.row, p.col, at[2]])),
                h("b", {}, fmt(p.value)),
              ),
            ),
          )
        : null,
    ),
    h("figure.side.dream", {}, h("figcaption", {}, "what it likes best"), app.dreamPanel(id, at)),
  ];
}

// -- what if --------------------------------------------------------------------------------------

const PRESETS = {
  zeros: () => 0,
  blur: (i, j, kh, kw) => 1 / (kh * kw),
  "vertical edge": (i, j, kh, kw) => Math.sign(j - (kw - 1) / 2) / kh,
  "horizontal edge": (i, j, kh) => Math.sign(i - (kh - 1) / 2) / kh,
  centre: (i, j, kh, kw) => (i === kh >> 1 && j === kw >> 1 ? 1 : 0),
};

function whatIf(app) {
  const { net, state } = app;
  const id = state.node;
  const node = net.nodes[id];
  const layer = net.layer(id);
  const at = state.at;
  const stop = id ? net.barrier(id) || net.barrier(node.inputs[0], false) : "";
  const source = node.inputs[0];
  const x = id ? net.y(source) : null;
  const parts = [];
  const kernelName = layer.params.kernel
    ? "kernel"
    : layer.params.depthwise_kernel
      ? "depthwise_kernel"
      : null;
  const numberInput = (value, label, key, apply, wide) =>
    h("input.what", {
      type: "number",
      step: "any",
      value: +(+value).toPrecision(4),
      "aria-label": label,
      "data-focus": key,
      class: wide ? "what wide" : "what",
      onchange: (e) => {
        const v = Number(e.target.value);
        if (Number.isFinite(v) && e.target.value !== "") apply(v);
      },
    });
  if (kernelName) {
    const p = layer.params[kernelName];
    const depth = p.shape.length === 4;
    const plain = node.type === "Conv2D" || node.type === "Dense";
    const last = plain ? at.at(-1) : 0;
    const channels = depth ? p.shape[2] : 0;
    const c = Math.min(state.inChannel ?? 0, Math.max(channels - 1, 0));
    const column = p.kept ? p.kept.indexOf(last) : last;
    const n = p.kept ? p.kept.length : p.shape.at(-1);
    if (column < 0) {
      parts.push(
        h("p.void", {}, `The kernel of this ${net.unitWord(id)} is left out of this page.`),
      );
    } else if (depth) {
      const [kh, kw] = p.shape;
      const o = (i, j) => ((i * kw + j) * channels + c) * n + column;
      parts.push(
        h(
          "fieldset",
          {},
          h("legend", {}, `${kernelName}: channel ${c}${plain ? `, map ${last}` : ""}`),
          channels > 1
            ? h(
                "label",
                {},
                "channel ",
                h("input", {
                  type: "number",
                  min: 0,
                  max: channels - 1,
                  value: c,
                  "data-focus": "wc",
                  "aria-label": "Channel of the kernel",
                  onchange: (e) =>
                    app.set({
                      inChannel: Math.max(
                        0,
                        Math.min(channels - 1, Math.round(Number(e.target.value)) || 0),
                      ),
                    }),
                }),
              )
            : null,
          h(
            "div.edit",
            { style: { gridTemplateColumns: `repeat(${kw}, 1fr)` } },
            Array.from({ length: kh * kw }, (_, t) =>
              numberInput(
                p.data[o(Math.floor(t / kw), t % kw)],
                `weight ${Math.floor(t / kw)}, ${t % kw}`,
                `k-${t}`,
                (v) =>
                  app.changeParam(id, kernelName, (data) => {
                    data[o(Math.floor(t / kw), t % kw)] = v;
                  }),
              ),
            ),
          ),
          h(
            "div.presets",
            {},
            Object.entries(PRESETS).map(([name, f]) =>
              h(
                "button.quiet",
                {
                  "data-focus": `preset-${name}`,
                  onclick: () =>
                    app.changeParam(id, kernelName, (data) => {
                      for (let i = 0; i < kh; i++) {
                        for (let j = 0; j < kw; j++) data[o(i, j)] = f(i, j, kh, kw);
                      }
                    }),
                },
                name,
              ),
            ),
          ),
        ),
      );
    } else {
      const k = Math.min(state.term ?? 0, p.shape[0] - 1);
      parts.push(
        h(
          "fieldset",
          {},
          h("legend", {}, `kernel: feature ${k}, unit ${last}`),
          h(
            "label",
            {},
            "feature ",
            h("input", {
              type: "number",
              min: 0,
              max: p.shape[0] - 1,
              value: k,
              "aria-label": "Feature",
              "data-focus": "wf",
              onchange: (e) =>
                app.set({
                  term: Math.max(
                    0,
                    Math.min(p.shape[0] - 1, Math.round(Number(e.target.value)) || 0),
                  ),
                }),
            }),
          ),
          h(
            "label",
            {},
            "weight ",
            numberInput(
              p.data[k * n + column],
              "weight",
              "k-0",
              (v) =>
                app.changeParam(id, "kernel", (data) => {
                  data[k * n + column] = v;
                }),
              true,
            ),
          ),
        ),
      );
    }
  }
  for (const name of ["bias", "gamma", "beta"]) {
    if (layer.params[name]) {
      parts.push(
        h(
          "fieldset",
          {},
          h("legend", {}, `${name}: ${net.unitWord(id)} ${at.at(-1)}`),
          numberInput(
            layer.params[name].data[at.at(-1)],
            name,
            `p-${name}`,
            (v) =>
              app.changeParam(id, name, (data) => {
                data[at.at(-1)] = v;
              }),
            true,
          ),
        ),
      );
    }
  }
  const c = layer.config;
  if (c.strides || c.pool_size) {
    const strides = c.strides ?? c.pool_size;
    const dilated = c.dilation_rate && Math.max(...c.dilation_rate) > 1;
    parts.push(
      h(
        "fieldset",
        {},
        h("legend", {}, "window"),
        h(
          "label",
          {},
          "stride ",
          h(
            "select",
            {
              "aria-label": "Stride",
              "data-focus": "stride",
              disabled: dilated,
              value: strides[0],
              onchange: (e) =>
                app.changeConfig(id, { strides: [Number(e.target.value), Number(e.target.value)] }),
            },
            [...new Set([1, 2, 3, 4, strides[0]])]
              .sort()
              .map((s) => h("option", { value: s, selected: s === strides[0] ? true : null }, s)),
          ),
        ),
        h(
          "label",
          {},
          "padding ",
          h(
            "select",
            {
              "aria-label": "Padding",
              "data-focus": "padding",
              value: c.padding,
              onchange: (e) => app.changeConfig(id, { padding: e.target.value }),
            },
            ["valid", "same"].map((s) =>
              h("option", { value: s, selected: s === c.padding ? true : null }, s),
            ),
          ),
        ),
      ),
    );
  }
  if (x) {
    const inner = layout(x.shape);
    const px =
      state.pixel?.node === source ? state.pixel.at : startPixel(net, id, at, x, state.inChannel);
    const channels =
      source === 0 || inner.channels <= 4 ? [...Array(x.shape.at(-1)).keys()] : [px.at(-1)];
    const [r, q] = inner.place(px);
    parts.push(
      h(
        "fieldset",
        {},
        h(
          "legend",
          {},
          `${source === 0 ? "pixel" : inner.map ? "cell" : net.unitWord(source)} of ${net.nodes[source].name}: ${placeText(px).replace(inner.map && channels.length > 1 ? /, map.*/ : /^$/, "")}`,
        ),
        (inner.map ? channels : [0]).map((k) => {
          const to = inner.map ? [px[0], px[1], k] : px;
          return h(
            "label",
            {},
            inner.map
              ? `${["red", "green", "blue"][source === 0 && x.shape[2] === 3 ? k : 9] ?? `channel ${k}`} `
              : "",
            numberInput(
              x.data[offsetOf(x.shape, to)],
              inner.map ? `pixel channel ${k}` : `value of ${placeText(px, net.unitWord(source))}`,
              `px-${k}`,
              (v) => app.changeCell(source, offsetOf(x.shape, to), v),
              true,
            ),
          );
        }),
      ),
    );
    const before = net.original(id);
    const after = net.y(id);
    const a = at.at(-1);
    const then = before && after && sameSpot(at, after.shape, before.shape);
    const moved = then && String(then) !== String(at);
    return [
      side(app, {
        caption: `in: ${net.nodes[source].name}`,
        note: `click a ${source === 0 ? "pixel" : inner.map ? "cell" : net.unitWord(source)} to change it`,
        id: source,
        a: x,
        channel: isPhoto(net, source) ? -1 : Math.min(px[2] ?? 0, inner.channels - 1),
        marks: [cellMark(r, q)],
        at: px,
        onmove: (to) => app.set({ pixel: { node: source, at: to } }),
        focus: "pixel",
        label: `Input of ${node.name}, ${placeText(px, net.unitWord(source))}. Arrow keys move on.`,
      }),
      h(
        "div.arithmetic.whatif",
        { "data-form": "whatif" },
        stop
          ? h(
              "p.reason.wide",
              {},
              `A change shows in this layer, but the page cannot follow it to the output. ${stop}`,
            )
          : null,
        parts,
        net.changed
          ? h(
              "button.primary",
              { "data-focus": "reset", onclick: () => app.resetChanges() },
              "Reset all changes",
            )
          : h("p.note", {}, "Change a number: the page computes the network anew."),
      ),
      h(
        "div.results",
        {},
        h(
          "figure.side",
          {},
          h("figcaption", {}, "out, before → now"),
          after
            ? h(
                "div.pair",
                {},
                [before, after].map(
                  (v) =>
                    v &&
                    (v.shape.length === 3
                      ? mapView({
                          picture: mapPicture(v, Math.min(a, v.shape[2] - 1), topFor(before ?? v)),
                          height: v.shape[0],
                          width: v.shape[1],
                          size: halfSize(),
                          label: v === before ? "before" : "now",
                          marks: [],
                        })
                      : mapView({
                          picture: vectorPicture(v.data, topFor(before ?? v)),
                          height: vectorShape(v.data.length)[0],
                          width: vectorShape(v.data.length)[1],
                          size: halfSize(),
                          label: v === before ? "before" : "now",
                          marks: [],
                        })),
                ),
              )
            : h("p.void", {}, net.reason(id)),
          before && after ? legend(topFor(before), after.data, "now: ") : null,
          after
            ? h(
                "p.note",
                {},
                `${placeText(moved ? then : at, net.unitWord(id))}: `,
                h("b", {}, fmt(then && before.data[offsetOf(before.shape, then)])),
                " → ",
                moved ? `${placeText(at, net.unitWord(id))}: ` : "",
                h("b", {}, fmt(after.data[offsetOf(after.shape, at)])),
              )
            : null,
        ),
        h("h3", {}, "Classes"),
        stop
          ? h(
              "div.off",
              { "aria-disabled": "true" },
              net.changed ? null : classBars(net, 10, true),
              h(
                "p.note",
                {},
                net.changed
                  ? `No class probabilities. ${stop}`
                  : "Those of the unchanged network: they cannot follow a change.",
              ),
            )
          : classBars(net, 10, true),
      ),
    ];
  }
  return h("p.void.wide", {}, "Open the next layer to change pixels of the photo.");
}

// The same place of a map that has another size now.
export const sameSpot = (at, from, to) =>
  clampAt(
    to.map((n, i) => Math.floor(((at[i] ?? 0) * n) / (from[i] ?? n))),
    to,
  );

export const clampAt = (at, shape) => at.map((v, i) => Math.max(0, Math.min(shape[i] - 1, v)));

function startPixel(net, id, at, x, channel) {
  if (x.shape.length !== 3) return [0, ...Array(x.shape.length - 1).fill(0)];
  const w = net.nodes[id].known ? layerWindow(net.layer(id), x.shape) : null;
  const centre = w
    ? [0, 1].map((a) => place(w, a, at[a], w.kernel[a] >> 1))
    : at.length === 3
      ? at
      : [x.shape[0] >> 1, x.shape[1] >> 1];
  return clampAt([centre[0], centre[1], channel ?? Math.min(at.at(-1), x.shape[2] - 1)], x.shape);
}
