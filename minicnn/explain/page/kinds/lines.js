// @ts-check
// Layers of lines: a line [step, channel] is an image [0, step, channel] one pixel high, and what
// computes and explains images does so here. Of each term, `row` is the step and `col` the channel:
// where the number lies in the picture of a line.
import { array } from "page/engine/arrays.js";
import { layerWindow } from "page/engine/windows.js";
import { words } from "page/words.js";

const lifted = (a) => (a?.shape.length === 2 ? array([1, ...a.shape], a.data) : a);
const lowered = (a) => (a?.shape.length === 3 ? array(a.shape.slice(1), a.data) : a);
const place = (at) => (at.length === 2 ? [0, ...at] : at);

const across = (v) => v && [1, Array.isArray(v) ? v[0] : v];

function imageConfig(c) {
  const config = { interpolation: "nearest", ...c };
  const windows = ["kernel_size", "strides", "dilation_rate", "pool_size", "output_size", "size"];
  for (const name of windows) {
    if (c[name]) config[name] = across(c[name]);
  }
  if (c.output_padding) config.output_padding = [0, c.output_padding[0]];
  for (const name of ["padding", "cropping"]) {
    if (Array.isArray(c[name])) config[name] = [[0, 0], c[name]];
  }
  if (c.padding === "causal") config.padding = "valid";
  return config;
}

const imageParam = (p) => (p.shape.length === 3 ? { ...p, shape: [1, ...p.shape] } : p);

const imageLayer = (layer) => ({
  type: layer.type.replace("1D", "2D"),
  config: imageConfig(layer.config),
  params: Object.fromEntries(
    Object.entries(layer.params).map(([name, p]) => [name, imageParam(p)]),
  ),
});

// How many zeros padding="causal" puts before a line.
const zerosBefore = ({ padding, kernel_size, dilation_rate }) =>
  padding === "causal" ? (kernel_size[0] - 1) * dilation_rate[0] : 0;

function imageOf(layer, x) {
  const zeros = zerosBefore(layer.config);
  const image = lifted(x);
  if (!zeros) return image;
  const [, steps, channels] = image.shape;
  const y = array([1, steps + zeros, channels]);
  y.data.set(image.data, zeros * channels);
  return y;
}

// What a kind for images is told of a layer of lines, and of one of its numbers.
function told(cell) {
  const layer = imageLayer(cell.layer);
  const x = imageOf(cell.layer, cell.x);
  const w = layerWindow(layer, x.shape);
  const more = { y: lifted(cell.y), dy: lifted(cell.dy), dz: lifted(cell.dz) };
  return { ...cell, ...more, layer, x, xs: [x], w, p: layer.params, c: layer.config };
}

function* whole(found) {
  return typeof found.next === "function" ? yield* found : found;
}

// An explanation of an image's number as one of a line's. Its terms are numbers of x, behind
// `zeros`, or of dy, without any.
function ofLine(found, zeros, last) {
  const { w, ...rest } = found;
  const e = { ...rest, line: true, grid: w?.kernel ?? found.grid };
  const moved = (t, channel) => ({ ...t, row: t.col - zeros, col: channel });
  if (e.groups) {
    e.groups = e.groups.map((g) => ({ ...g, taps: g.taps.map((t) => moved(t, g.channel)) }));
  }
  if (e.taps) e.taps = e.taps.map((t) => moved(t, last));
  if (e.winner) e.winner = moved(e.winner, last);
  if (e.from) e.from = e.from.map((f) => ({ ...f, at: f.at.slice(-2) }));
  if (e.terms?.[0]?.row !== undefined) {
    e.terms = e.terms.map((t) => ({
      ...moved(t, last),
      label: words("move.step", { n: t.col - zeros }),
    }));
  }
  const { filter } = found;
  if (filter) e.filter = (step, _, channel) => filter(0, step, channel);
  return e;
}

const withPadding = (e) => ({
  ...e,
  groups: e.groups?.map((g) => ({
    ...g,
    taps: g.taps.map((t) => ({ ...t, padded: t.padded || t.row < 0 })),
  })),
});

/** @returns {Kind} */
export const ofLines = (kind) => ({
  *forward({ layer, x }) {
    const image = told({ layer, x });
    const { y, z, h } = yield* whole(kind.forward(image));
    return { y: lowered(y), z: lowered(z), h };
  },
  *backward({ layer, x, out, dy, dz }) {
    const image = told({ layer, x, dy, dz });
    const given = { ...image, out: { ...out, y: lifted(out.y), z: lifted(out.z) } };
    const { dxs, grads } = yield* whole(kind.backward(given));
    const zeros = zerosBefore(layer.config);
    const dx = lowered(dxs[0]);
    const own = array(x.shape, dx.data.slice(zeros * x.shape[1]));
    const shaped = ([name, a]) => [name, lowered4(a)];
    return { dxs: [own], grads: Object.fromEntries(Object.entries(grads).map(shaped)) };
  },
  explain(cell) {
    const zeros = zerosBefore(cell.layer.config);
    const found = kind.explain({ ...told(cell), at: place(cell.at) });
    return withPadding(ofLine(found, zeros, cell.last));
  },
  explainInput(cell) {
    const zeros = zerosBefore(cell.layer.config);
    const at = [0, cell.at[0] + zeros, cell.at[1]];
    return ofLine(kind.explainInput({ ...told(cell), at }), 0, cell.k);
  },
  weights: Object.fromEntries(
    Object.entries(kind.weights ?? {}).map(([name, terms]) => [name, weightOfLines(terms)]),
  ),
});

const lowered4 = (a) => (a.shape.length === 4 ? array(a.shape.slice(1), a.data) : a);

const weightOfLines = (terms) => (given) => {
  const zeros = zerosBefore(given.layer.config);
  const add = (o, input, d, _, column) => given.add(o, input, d, column - zeros, 0);
  const image = told(given);
  return terms({ ...image, at: [0, ...given.at], width: image.dz.shape[1], add });
};
