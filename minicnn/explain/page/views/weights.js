// @ts-check
// The weights of a layer as images.
import {
  allZeros,
  colourPicture,
  count,
  exact,
  fmt,
  h,
  legend,
  mapPicture,
  shapeText,
  topOf,
} from "page/draw.js";
import { lazyPicture, mapName } from "page/views/pictures.js";
import { words } from "page/words.js";

export function weights(app) {
  const { net, state } = app;
  const id = state.node;
  const block = ([name, about]) => {
    const p = net.param(id, name);
    const facts = [
      shapeText(about.shape),
      p.kept ? words("weights.some", { k: p.kept.length, n: p.shape.at(-1) }) : "",
      net.arrays[about.at]?.half ? words("weights.half") : "",
      allZeros(p.data) ? words("card.zeros") : "",
    ];
    return h(
      "section.weight",
      {},
      h("h3", {}, name, " ", h("small", {}, facts.filter(Boolean).join("; "))),
      weightPicture(app, name, p),
      stats(p.data),
    );
  };
  const blocks = Object.entries(net.nodes[id].params).map(block);
  return h("div.weights", { "data-form": "weights" }, blocks);
}

function weightPicture(app, name, p) {
  if (p.shape.length === 1) return vectorOf(app, p);
  const { type } = app.net.nodes[app.state.node];
  if (type.includes("1D")) {
    const shape = p.shape.length === 3 ? [1, ...p.shape] : p.shape;
    return kernelPicture(app, type.replace("1D", "2D"), { ...p, shape });
  }
  return kernelPicture(app, type, p, name === "kernel");
}

function kernelPicture(app, type, p, ofImages = false) {
  if (p.shape.length !== 4 || p.shape[0] * p.shape[1] === 1) return matrixOf(p);
  if (type === "Conv2DTranspose") return kernelOfMap(app, p, true);
  if (type !== "Conv2D") return kernelsOfChannels(app, p);
  return ofImages && p.shape[2] === 3 ? colourKernels(app, p) : kernelOfMap(app, p);
}

const chosenUnit = (state) => state.at?.at(-1) ?? 0;

// The maps or units whose weights the page has.
const unitsOf = (p) => p.kept ?? [...Array(p.shape.at(-1)).keys()];

// One channel of one kernel; `column` counts the kernels that the page has.
function slice(p, channel, column) {
  const [kh, kw, channels] = p.shape;
  const n = unitsOf(p).length;
  const at = (tap) => (tap * channels + channel) * n + column;
  return {
    shape: [kh, kw, 1],
    data: Float32Array.from({ length: kh * kw }, (_, tap) => p.data[at(tap)]),
  };
}

function tile(make, { name, chosen = false, zero, onclick }) {
  const label = name + (zero ? words("card.and_zeros") : "");
  return h(
    `button.kernel${chosen ? ".chosen" : ""}${zero ? ".zero" : ""}`,
    { onclick, "aria-label": label, title: label },
    lazyPicture(make),
    h("small", {}, name.split(" ").at(-1)),
  );
}

const scaleOf = (p) => Math.max(1e-12, topOf(p.data));

// Kernels that read red, green and blue: each is a small image.
function colourKernels(app, p) {
  const [kh, kw] = p.shape;
  const n = unitsOf(p).length;
  const rgb = (column) => {
    const data = Float32Array.from({ length: kh * kw * 3 }, (_, i) => p.data[i * n + column]);
    const reach = Math.max(1e-12, ...data.map(Math.abs));
    return colourPicture({ shape: [kh, kw, 3], data }, [127.5 / reach, 127.5]);
  };
  const kernel = (filter, column) =>
    tile(() => rgb(column), {
      name: words("word.map_k", { k: filter }),
      chosen: filter === chosenUnit(app.state),
      zero: [0, 1, 2].every((c) => allZeros(slice(p, c, column).data)),
      onclick: () => app.chooseMap(filter),
    });
  const about = words("weights.rgb");
  return [h("p.note", {}, about), h("div.kernels.large", {}, unitsOf(p).slice(0, 96).map(kernel))];
}

// The kernel of the chosen map: an image for each channel that it reads. `transposed`: maps are the
// last axis but one.
function kernelOfMap(app, p, transposed = false) {
  const chosen = chosenUnit(app.state);
  const column = transposed ? chosen : unitsOf(p).indexOf(chosen);
  if (column < 0) return h("p.void", {}, words("weights.map_left_out"));
  const channels = p.shape[transposed ? 3 : 2];
  const top = scaleOf(p);
  const kernel = (_, c) => {
    const a = transposed ? slice(p, column, c) : slice(p, c, column);
    return tile(() => mapPicture(a, 0, top), {
      name: mapName(app.net, app.net.nodes[app.state.node].inputs[0], c),
      zero: allZeros(a.data),
      onclick: () => app.set({ inChannel: c, tab: "number" }),
    });
  };
  const about = words("weights.kernel_of", { k: chosen, n: channels });
  return [
    h("p.note", {}, about),
    h("div.kernels", {}, Array.from({ length: Math.min(channels, 256) }, kernel)),
    legend(top, p.data, words("weights.all_kernels")),
  ];
}

function kernelsOfChannels(app, p) {
  const { net, state } = app;
  const n = unitsOf(p).length;
  const top = scaleOf(p);
  const most = net.shape(state.node).at(-1) - 1;
  const kernel = (_, k) => {
    const a = slice(p, Math.floor(k / n), k % n);
    return tile(() => mapPicture(a, 0, top), {
      name: words("word.map_k", { k }),
      chosen: k === chosenUnit(state),
      zero: allZeros(a.data),
      onclick: () => app.chooseMap(Math.min(k, most)),
    });
  };
  return [
    h("p.note", {}, words("weights.of_each")),
    h("div.kernels", {}, Array.from({ length: Math.min(p.shape[2] * n, 256) }, kernel)),
    legend(top, p.data, words("weights.all_kernels")),
  ];
}

function vectorOf(app, p) {
  const { net, state } = app;
  const value = p.data[chosenUnit(state)];
  const row = { shape: [1, p.shape[0], 1], data: p.data };
  return [
    h(
      "div.strip",
      {},
      lazyPicture(() => mapPicture(row, 0, scaleOf(p))),
    ),
    legend(scaleOf(p), p.data),
    h(
      "p.note",
      {},
      words("weights.of", {
        what: words(`word.${net.unitWord(state.node)}_k`, { k: chosenUnit(state) }),
      }),
      h("b", { title: exact(value) }, fmt(value)),
    ),
  ];
}

function matrixOf(p) {
  const n = unitsOf(p).length;
  const features = p.data.length / n;
  const rows = Math.min(features, 1024);
  const make = () => mapPicture({ shape: [rows, n, 1], data: p.data }, 0, scaleOf(p));
  return [
    h("p.note", {}, words("weights.matrix", { n: features, m: n })),
    h("div.matrix", {}, lazyPicture(make, { style: { aspectRatio: `${n} / ${rows}` } })),
    features > 1024 ? h("p.note", {}, words("weights.first")) : null,
    legend(scaleOf(p), p.data),
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
  return h(
    "div.stats",
    {},
    histogram(bins, reach),
    h(
      "dl",
      {},
      [
        [words("weights.smallest"), low],
        [words("weights.mean"), mean],
        [words("weights.spread"), spread],
        [words("weights.largest"), high],
      ].map(([name, v]) => [h("dt", {}, name), h("dd", { title: exact(v) }, fmt(v))]),
    ),
  );
}

// How many numbers are in each of the 41 intervals from −reach to reach.
function histogram(bins, reach) {
  const most = Math.max(...bins);
  const [left, wide, high] = [34, 164, 60];
  const label = (x, y, anchor, text) =>
    h("text", { x, y, "text-anchor": anchor, class: "axis-text" }, text);
  const y = (n) => 6 + high - (high * n) / most;
  return h(
    "svg.histogram",
    {
      viewBox: `0 0 ${left + wide + 12} ${high + 24}`,
      width: left + wide + 12,
      height: high + 24,
      role: "img",
      "aria-label": words("weights.histogram", {
        low: fmt(-reach),
        high: fmt(reach),
        n: count(most),
      }),
    },
    h("line", { x1: left, x2: left + wide, y1: y(0), y2: y(0), class: "axis" }),
    h("line", { x1: left - 3, x2: left, y1: y(most), y2: y(most), class: "axis" }),
    label(left - 5, y(most) + 4, "end", count(most)),
    label(left - 5, y(0) + 1, "end", "0"),
    bins.map((n, i) =>
      h("rect", {
        x: left + i * 4,
        y: y(n),
        width: 3,
        height: y(0) - y(n),
        class: i < 20 ? "below" : i > 20 ? "above" : "",
      }),
    ),
    label(left, y(0) + 15, "start", fmt(-reach)),
    label(left + wide / 2, y(0) + 15, "middle", "0"),
    label(left + wide, y(0) + 15, "end", fmt(reach)),
  );
}
