// @ts-check
// Convolutions: ordinary, grouped, depthwise, and separable.
import { array, biasGradient, pair, rounded, size } from "page/engine/arrays.js";
import { activate, activationOf } from "page/engine/functions.js";
import { layerWindow, place, placeBack, rowParts, taps, windowOf } from "page/engine/windows.js";
import { biasAt, sumOf, weightAt, windowTaps, withActivation } from "page/explain/terms.js";

function conv(x, kernel, bias, w, groups, z, rows) {
  const channels = x.shape[2];
  const filters = kernel.shape[3];
  const inner = channels / groups;
  const each = filters / groups;
  const X = x.data;
  const K = kernel.data;
  const Z = z.data;
  if (bias) {
    for (let p = rows[0] * w.out[1]; p < rows[1] * w.out[1]; p++) Z.set(bias.data, p * filters);
  }
  taps(
    w,
    x.shape,
    (from, to, tap) => {
      for (let c = 0; c < channels; c++) {
        const value = X[from * channels + c];
        const group = (c / inner) | 0;
        if (value === 0) continue;
        let k = (tap * inner + (c % inner)) * filters + group * each;
        let o = to * filters + group * each;
        for (const end = o + each; o < end;) Z[o++] += value * K[k++];
      }
    },
    rows,
  );
}

// For each place the filters whose gradient is not 0: ReLU and pooling leave most of them at 0.
function filtersToVisit(dz) {
  const filters = dz.shape.at(-1);
  const places = dz.data.length / filters;
  const starts = new Int32Array(places + 1);
  const list = new Int32Array(dz.data.length);
  for (let place_ = 0, n = 0; place_ < places; place_++) {
    for (let f = 0; f < filters; f++) if (dz.data[place_ * filters + f] !== 0) list[n++] = f;
    starts[place_ + 1] = n;
  }
  return { starts, list };
}

export function* convolutionBackward(dz, x, kernel, w, groups) {
  const channels = x.shape[2];
  const filters = kernel.shape[3];
  const inner = channels / groups;
  const each = filters / groups;
  const X = x.data;
  const K = kernel.data;
  const D = dz.data;
  const dx = array(x.shape);
  const dk = array(kernel.shape);
  const DX = dx.data;
  const DK = dk.data;
  const { starts, list } = filtersToVisit(dz);
  const visit = (from, to, tap) => {
    const [first, end] = [starts[to], starts[to + 1]];
    for (let c = 0; c < channels && first < end; c++) {
      const group = (c / inner) | 0;
      const value = X[from * channels + c];
      const k = (tap * inner + (c % inner)) * filters;
      let sum = 0;
      for (let n = first; n < end; n++) {
        const f = list[n];
        if (groups > 1 && ((f / each) | 0) !== group) continue;
        const d = D[to * filters + f];
        sum += d * K[k + f];
        DK[k + f] += d * value;
      }
      DX[from * channels + c] += sum;
    }
  };
  for (const rows of rowParts(w, 2 * size(kernel.shape))) {
    taps(w, x.shape, visit, rows);
    yield;
  }
  return { dx, dk };
}

function depthwise(x, kernel, bias, w, z, rows) {
  const channels = x.shape[2];
  const m = kernel.shape[3];
  const deep = channels * m;
  const X = x.data;
  const K = kernel.data;
  const Z = z.data;
  if (bias) {
    for (let p = rows[0] * w.out[1]; p < rows[1] * w.out[1]; p++) Z.set(bias.data, p * deep);
  }
  taps(
    w,
    x.shape,
    (from, to, tap) => {
      let k = tap * deep;
      let o = to * deep;
      for (let c = from * channels; c < (from + 1) * channels; c++) {
        for (let t = 0; t < m; t++) Z[o++] += X[c] * K[k++];
      }
    },
    rows,
  );
}

function* depthwiseBackward(dz, x, kernel, w) {
  const channels = x.shape[2];
  const m = kernel.shape[3];
  const deep = channels * m;
  const dx = array(x.shape);
  const dk = array(kernel.shape);
  const visit = (from, to, tap) => {
    let k = tap * deep;
    let o = to * deep;
    for (let c = from * channels; c < (from + 1) * channels; c++) {
      for (let t = 0; t < m; t++, k++, o++) {
        dx.data[c] += dz.data[o] * kernel.data[k];
        dk.data[k] += dz.data[o] * x.data[c];
      }
    }
  };
  for (const rows of rowParts(w, 2 * size(kernel.shape))) {
    taps(w, x.shape, visit, rows);
    yield;
  }
  return { dx, dk };
}

const ONE = [1, 1];

const pointwiseWindow = (shape) => windowOf(shape, ONE, ONE, "valid");

// The numbers between the depthwise and the pointwise half of a separable convolution.
function hidden(layer, x) {
  const w = layerWindow(layer, x.shape);
  const kernel = layer.params.depthwise_kernel;
  const z = array([...w.out, kernel.shape[2] * kernel.shape[3]]);
  depthwise(x, kernel, null, w, z, [0, w.out[0]]);
  return rounded(z);
}

function* backwardConv2D({ layer, x, p, c, dz }) {
  const grads = {};
  const found = yield* convolutionBackward(dz, x, p.kernel, layerWindow(layer, x.shape), c.groups);
  grads.kernel = found.dk;
  if (p.bias) grads.bias = biasGradient(dz);
  return { dxs: [found.dx], grads };
}

function* backwardDepthwiseConv2D({ layer, x, p, dz }) {
  const grads = {};
  const found = yield* depthwiseBackward(dz, x, p.kernel, layerWindow(layer, x.shape));
  grads.kernel = found.dk;
  if (p.bias) grads.bias = biasGradient(dz);
  return { dxs: [found.dx], grads };
}

function* backwardSeparableConv2D({ layer, x, p, out, dz }) {
  const grads = {};
  const w = layerWindow(layer, x.shape);
  const h = out.h ?? hidden(layer, x);
  const first = yield* convolutionBackward(dz, h, p.pointwise_kernel, pointwiseWindow(h.shape), 1);
  const second = yield* depthwiseBackward(first.dx, x, p.depthwise_kernel, w);
  grads.depthwise_kernel = second.dk;
  grads.pointwise_kernel = first.dk;
  if (p.bias) grads.bias = biasGradient(dz);
  return { dxs: [second.dx], grads, dh: first.dx };
}

function explainConv2D({ layer, x, at, last, w, p, c }) {
  const inner = p.kernel.shape[2];
  const filters = p.kernel.shape[3];
  const start = Math.floor(last / (filters / c.groups)) * inner;
  const groups = [];
  for (let k = 0; k < inner; k++) {
    const list = windowTaps(w, x, at[0], at[1], start + k, (tap) =>
      weightAt(p.kernel, tap * inner + k, last),
    );
    groups.push({ channel: start + k, taps: list, sum: sumOf(list) });
  }
  return withActivation(
    layer,
    { form: "window", w, groups, total: sumOf(groups, "sum") },
    biasAt(layer, last),
  );
}

function explainDepthwiseConv2D({ layer, x, at, last, w, p }) {
  const m = p.kernel.shape[3];
  const k = Math.floor(last / m);
  const channels = p.kernel.shape[2];
  const list = windowTaps(w, x, at[0], at[1], k, (tap) =>
    weightAt(p.kernel, tap * channels + k, last % m),
  );
  const groups = [{ channel: k, taps: list, sum: sumOf(list) }];
  return withActivation(
    layer,
    { form: "window", w, groups, total: groups[0].sum },
    biasAt(layer, last),
  );
}

function explainSeparableConv2D({ layer, x, at, last, w, p }) {
  const d = p.depthwise_kernel;
  const m = d.shape[3];
  const channels = d.shape[2];
  const groups = [];
  const terms = [];
  for (let deep = 0; deep < channels * m; deep++) {
    const k = Math.floor(deep / m);
    const list = windowTaps(w, x, at[0], at[1], k, (tap) =>
      weightAt(d, tap * channels + k, deep % m),
    );
    const h = sumOf(list);
    const weight = weightAt(p.pointwise_kernel, deep, last);
    groups.push({ channel: k, deep, taps: list, sum: h, scaled: h * weight, weight });
    terms.push({ label: `h ${deep}`, channel: k, deep, input: h, weight, product: h * weight });
  }
  return withActivation(
    layer,
    { form: "separable", w, groups, terms, total: sumOf(terms) },
    biasAt(layer, last),
  );
}

function explainInputConv2D({ k, dz, p, c, at, w }) {
  const inner = p.kernel.shape[2];
  const filters = p.kernel.shape[3];
  const each = filters / c.groups;
  const start = Math.floor(k / inner) * each;
  const groups = [];
  for (let o = start; o < start + each; o++) {
    const list = tapsBack(w, at, dz.data, filters, o, (tap) =>
      weightAt(p.kernel, tap * inner + (k % inner), o),
    );
    groups.push({ channel: o, taps: list, sum: sumOf(list) });
  }
  return windowsBack(w, groups);
}

function explainInputDepthwiseConv2D({ k, dz, p, at, w }) {
  const m = p.kernel.shape[3];
  const channels = p.kernel.shape[2];
  return windowsBack(
    w,
    Array.from({ length: m }, (_, t) => {
      const list = tapsBack(w, at, dz.data, channels * m, k * m + t, (tap) =>
        weightAt(p.kernel, tap * channels + k, t),
      );
      return { channel: k * m + t, taps: list, sum: sumOf(list) };
    }),
  );
}

function explainInputSeparableConv2D({ k, dz, w, p, c, at }) {
  const d = p.depthwise_kernel;
  const m = d.shape[3];
  const channels = d.shape[2];
  const filters = c.filters;
  if (p.pointwise_kernel.kept) return { form: "none", total: NaN };
  return windowsBack(
    w,
    Array.from({ length: m }, (_, t) => {
      const deep = k * m + t;
      const dh = hiddenGradient(p, dz, deep);
      const list = tapsBack(w, at, dh, 1, 0, (tap) => weightAt(d, tap * channels + k, t));
      return { channel: deep, taps: list, sum: sumOf(list) };
    }),
    {
      hidden: true,
      filter: (row, col, deep) => {
        const part = (f) =>
          Math.abs(
            dz.data[(row * w.out[1] + col) * filters + f] *
              p.pointwise_kernel.data[deep * filters + f],
          );
        return [...Array(filters).keys()].reduce((a, b) => (part(b) > part(a) ? b : a));
      },
    },
  );
}

const convolutionWindow = (c, shape) =>
  windowOf(shape, pair(c.kernel_size), pair(c.strides), c.padding, pair(c.dilation_rate));

export function* convolved(x, kernel, w, bias = null, groups = 1) {
  const z = array([...w.out, kernel.shape[3]]);
  for (const rows of rowParts(w, size(kernel.shape))) {
    conv(x, kernel, bias, w, groups, z, rows);
    yield;
  }
  return z;
}

function* forwardConv2D({ layer, x, p, c }) {
  const z = yield* convolved(x, p.kernel, layerWindow(layer, x.shape), p.bias, c.groups);
  return { z, y: activate(activationOf(layer), z), h: null };
}

function* forwardDepthwiseConv2D({ layer, x, p }) {
  const w = layerWindow(layer, x.shape);
  const z = array([...w.out, p.kernel.shape[2] * p.kernel.shape[3]]);
  for (const rows of rowParts(w, size(p.kernel.shape))) {
    depthwise(x, p.kernel, p.bias, w, z, rows);
    yield;
  }
  return { z, y: activate(activationOf(layer), z), h: null };
}

function* forwardSeparableConv2D({ layer, x, p }) {
  const w = layerWindow(layer, x.shape);
  const first = p.depthwise_kernel;
  const deep = array([...w.out, first.shape[2] * first.shape[3]]);
  for (const rows of rowParts(w, size(first.shape))) {
    depthwise(x, first, null, w, deep, rows);
    yield;
  }
  const h = rounded(deep);
  const z = yield* convolved(h, p.pointwise_kernel, pointwiseWindow(h.shape), p.bias);
  return { z, y: activate(activationOf(layer), z), h };
}

// The taps with which one channel of the output reads the input at `at`.
export function tapsBack(w, at, from, channels, channel, weight) {
  const list = [];
  for (let i = 0; i < w.kernel[0]; i++) {
    for (let j = 0; j < w.kernel[1]; j++) {
      const row = placeBack(w, 0, at[0], i);
      const col = placeBack(w, 1, at[1], j);
      const padded = row < 0 || col < 0;
      const input = padded ? 0 : from[(row * w.out[1] + col) * channels + channel];
      const v = weight(i * w.kernel[1] + j);
      list.push({ row, col, i, j, input, weight: v, product: padded ? 0 : input * v, padded });
    }
  }
  return list;
}

export const windowsBack = (w, groups, extra = {}) => ({
  form: "window",
  back: true,
  w,
  groups,
  total: sumOf(groups, "sum"),
  ...extra,
});

// d loss / d h for one channel between the two halves of a separable convolution.
function hiddenGradient(p, dz, deep) {
  const filters = dz.shape[2];
  const dh = new Float64Array(dz.data.length / filters);
  for (let o = 0; o < dh.length; o++) {
    for (let f = 0; f < filters; f++) {
      dh[o] += dz.data[o * filters + f] * p.pointwise_kernel.data[deep * filters + f];
    }
  }
  return dh;
}

// The terms of the gradient of a kernel's entry: `channel` of x times `column` of d.
function kernelTerms({ x, w, at, channel, d, count, column, add }) {
  const [height, across, channels] = x.shape;
  for (let o = 0; o < w.out[0] * w.out[1]; o++) {
    const row = place(w, 0, Math.floor(o / w.out[1]), at[0]);
    const col = place(w, 1, o % w.out[1], at[1]);
    if (row < 0 || row >= height || col < 0 || col >= across) continue;
    add(o, x.data[(row * across + col) * channels + channel], d[o * count + column], row, col);
  }
}

function convolutionWeight({ layer, x, w, at, p, dz, units, last, add }) {
  const inner = p.kernel.shape[2];
  const channel = Math.floor(last / (units / layer.config.groups)) * inner + at[2];
  kernelTerms({ x, w, at, channel, d: dz.data, count: units, column: last, add });
}

function depthwiseWeight({ x, w, at, p, dz, units, add }) {
  const column = at[2] * p.kernel.shape[3] + at[3];
  kernelTerms({ x, w, at, channel: at[2], d: dz.data, count: units, column, add });
}

function separableDepthwiseWeight({ x, w, at, p, dz, add }) {
  if (p.pointwise_kernel.kept) return false;
  const d = hiddenGradient(p, dz, at[2] * p.depthwise_kernel.shape[3] + at[3]);
  kernelTerms({ x, w, at, channel: at[2], d, count: 1, column: 0, add });
  return true;
}

function pointwiseWeight({ layer, x, at, dz, units, last, n, add, width }) {
  const h = hidden(layer, x);
  const deep = h.shape[2];
  for (let o = 0; o < n; o++) {
    const input = h.data[o * deep + at[2]];
    add(o, input, dz.data[o * units + last], Math.floor(o / width), o % width);
  }
}

export const Conv2D = {
  window: convolutionWindow,
  backward: backwardConv2D,
  explain: explainConv2D,
  explainInput: explainInputConv2D,
  forward: forwardConv2D,
  weights: { kernel: convolutionWeight },
};

export const DepthwiseConv2D = {
  window: convolutionWindow,
  backward: backwardDepthwiseConv2D,
  explain: explainDepthwiseConv2D,
  explainInput: explainInputDepthwiseConv2D,
  forward: forwardDepthwiseConv2D,
  weights: { kernel: depthwiseWeight },
};

export const SeparableConv2D = {
  window: convolutionWindow,
  backward: backwardSeparableConv2D,
  explain: explainSeparableConv2D,
  explainInput: explainInputSeparableConv2D,
  forward: forwardSeparableConv2D,
  weights: { depthwise_kernel: separableDepthwiseWeight, pointwise_kernel: pointwiseWeight },
};
