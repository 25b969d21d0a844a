// Every layer of minicnn, forward and backward, for one example: the arithmetic of the page.
//
// An array is {shape, data}: the shape without the batch, numbers in reading order. Sums run in
// float64. A layer is {type, config, params}: Keras's class name, arguments and weights.
//
//   forward(layer, xs)             {y, z}      z: before the activation
//   backward(layer, xs, out, dy)   {dxs, grads, dz}

export const size = (shape) => shape.reduce((a, b) => a * b, 1);
export const array = (shape, data) => ({ shape, data: data ?? new Float64Array(size(shape)) });
const rounded = (a) => ({ shape: a.shape, data: Float32Array.from(a.data) });
const pair = (v) => (Array.isArray(v) ? v : [v, v]);

// -- windows --------------------------------------------------------------------------------------

// The geometry of a window over (height, width): "same" puts its odd zero below and right.
function windowOf(shape, kernel, strides, padding, dilation = [1, 1]) {
  const out = [];
  const before = [];
  for (const a of [0, 1]) {
    const extent = (kernel[a] - 1) * dilation[a] + 1;
    if (padding === "same") {
      out[a] = Math.ceil(shape[a] / strides[a]);
      before[a] = Math.max((out[a] - 1) * strides[a] + extent - shape[a], 0) >> 1;
    } else {
      out[a] = Math.floor((shape[a] - extent) / strides[a]) + 1;
      before[a] = 0;
    }
    if (out[a] < 1) {
      throw new Error(
        `The window of ${kernel[0]}×${kernel[1]} does not fit into ` +
          `${shape[0]}×${shape[1]} pixels.`,
      );
    }
  }
  return { kernel, strides, dilation, before, out };
}

const POOLS = new Set(["MaxPooling2D", "AveragePooling2D"]);
const CONVOLUTIONS = new Set(["Conv2D", "DepthwiseConv2D", "SeparableConv2D"]);

// The window of a layer that has one, else null.
export function layerWindow(layer, shape) {
  const c = layer.config;
  if (CONVOLUTIONS.has(layer.type)) {
    return windowOf(shape, pair(c.kernel_size), pair(c.strides), c.padding, pair(c.dilation_rate));
  }
  if (POOLS.has(layer.type)) {
    return windowOf(shape, pair(c.pool_size), pair(c.strides ?? c.pool_size), c.padding);
  }
  return null;
}

// Input row (axis 0) or column (axis 1) of tap `i` at output position `o`; may lie outside.
export const place = (w, axis, o, i) => o * w.strides[axis] + i * w.dilation[axis] - w.before[axis];

// The output position whose tap `i` reads input position `p`; -1 if there is none.
export function placeBack(w, axis, p, i) {
  const moved = p + w.before[axis] - i * w.dilation[axis];
  const o = moved / w.strides[axis];
  return moved >= 0 && Number.isInteger(o) && o < w.out[axis] ? o : -1;
}

// Calls visit(input offset, output offset, tap) for each tap that meets a real pixel. Offsets count
// pixels. `rows`: [first, end) of the output's rows.
function taps(w, shape, visit, rows = [0, w.out[0]]) {
  const [height, width] = shape;
  const [kh, kw] = w.kernel;
  for (let oy = rows[0]; oy < rows[1]; oy++) {
    for (let i = 0; i < kh; i++) {
      const iy = place(w, 0, oy, i);
      if (iy < 0 || iy >= height) continue;
      for (let ox = 0; ox < w.out[1]; ox++) {
        for (let j = 0; j < kw; j++) {
          const ix = place(w, 1, ox, j);
          if (ix < 0 || ix >= width) continue;
          visit(iy * width + ix, oy * w.out[1] + ox, i * kw + j);
        }
      }
    }
  }
}

// -- convolutions ---------------------------------------------------------------------------------

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

// [first, end) of the output's rows, each part some 10 million products: a moment.
function* rowParts(w, cost) {
  const step = Math.max(1, Math.floor(1e7 / (cost * w.out[1])));
  for (let row = 0; row < w.out[0]; row += step) yield [row, Math.min(row + step, w.out[0])];
}

function* convBackward(dz, x, kernel, w, groups) {
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
  const visit = (from, to, tap) => {
    for (let c = 0; c < channels; c++) {
      const group = (c / inner) | 0;
      const value = X[from * channels + c];
      let k = (tap * inner + (c % inner)) * filters + group * each;
      let sum = 0;
      let o = to * filters + group * each;
      for (const end = o + each; o < end; o++, k++) {
        sum += D[o] * K[k];
        DK[k] += D[o] * value;
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

function biasGradient(dz) {
  const units = dz.shape.at(-1);
  const db = array([units]);
  for (let i = 0; i < dz.data.length; i++) db.data[i % units] += dz.data[i];
  return db;
}

const ONE = [1, 1];
const pointwiseWindow = (shape) => windowOf(shape, ONE, ONE, "valid");

// -- activations ----------------------------------------------------------------------------------

const sigmoid = (v) => (v >= 0 ? 1 / (1 + Math.exp(-v)) : Math.exp(v) / (1 + Math.exp(v)));

// y and dy/dz of an activation that looks at one number; the slope is given z and y.
export const SCALAR = {
  linear: { y: (z) => z, slope: () => 1, text: "z" },
  relu: { y: (z) => (z > 0 ? z : 0), slope: (z) => (z > 0 ? 1 : 0), text: "max(z, 0)" },
  relu6: {
    y: (z) => (z > 6 ? 6 : z > 0 ? z : 0),
    slope: (z) => (z > 0 && z < 6 ? 1 : 0),
    text: "min(max(z, 0), 6)",
    corners: [0, 6],
  },
  sigmoid: { y: sigmoid, slope: (z, y) => y * (1 - y), text: "1 / (1 + e^−z)" },
  tanh: { y: Math.tanh, slope: (z, y) => 1 - y * y, text: "tanh(z)" },
};

// The ReLU layer's three corners, as an activation.
export function reluOf(config) {
  const top = config.max_value ?? Infinity;
  const low = config.threshold;
  const leak = config.negative_slope;
  return {
    y: (x) => (x >= top ? top : x > low ? x : leak * (x - low)),
    slope: (x) => (x >= top ? 0 : x > low ? 1 : leak),
    corners: [low, ...(top < Infinity ? [top] : [])],
    text:
      !leak && !low
        ? top < Infinity
          ? `min(max(x, 0), ${top})`
          : "max(x, 0)"
        : `x above ${low}, ${leak ? `${leak} · ${low ? `(x − ${low})` : "x"} below` : "else 0"}${top < Infinity ? `, at most ${top}` : ""}`,
  };
}

function softmax(x) {
  const n = x.shape.at(-1);
  const y = array(x.shape);
  for (let s = 0; s < x.data.length; s += n) {
    let top = -Infinity;
    let sum = 0;
    for (let i = s; i < s + n; i++) top = Math.max(top, x.data[i]);
    for (let i = s; i < s + n; i++) sum += y.data[i] = Math.exp(x.data[i] - top);
    for (let i = s; i < s + n; i++) y.data[i] /= sum;
  }
  return y;
}

function softmaxBackward(dy, y) {
  const n = y.shape.at(-1);
  const dz = array(y.shape);
  for (let s = 0; s < y.data.length; s += n) {
    let mean = 0;
    for (let i = s; i < s + n; i++) mean += dy.data[i] * y.data[i];
    for (let i = s; i < s + n; i++) dz.data[i] = y.data[i] * (dy.data[i] - mean);
  }
  return dz;
}

const map = (x, f) => array(x.shape, Float64Array.from(x.data, f));

function activate(name, z) {
  if (name === "softmax") return softmax(z);
  return name === "linear" ? z : map(z, SCALAR[name].y);
}

function activateBackward(name, dy, z, y) {
  if (name === "softmax") return softmaxBackward(dy, y);
  if (name === "linear") return dy;
  return map(dy, (d, i) => (d === 0 ? 0 : d * SCALAR[name].slope(z.data[i], y.data[i])));
}

export const activationOf = (layer) =>
  layer.type === "Softmax" ? "softmax" : (layer.config.activation ?? "linear");

// -- layers ---------------------------------------------------------------------------------------

const perChannel = (v, n) => (Array.isArray(v) ? v : new Array(n).fill(v));

// [scale, shift, mean, 1/sqrt(variance + epsilon)] of each channel, as inference uses them.
export function normalization(layer, channel) {
  const p = layer.params;
  const at = (name, otherwise) => (p[name] ? p[name].data[channel] : otherwise);
  const inverse = 1 / Math.sqrt(at("moving_variance") + layer.config.epsilon);
  return {
    gamma: at("gamma", 1),
    beta: at("beta", 0),
    mean: at("moving_mean"),
    variance: at("moving_variance"),
    inverse,
  };
}

function poolForward(layer, x) {
  const w = layerWindow(layer, x.shape);
  const channels = x.shape[2];
  const max = layer.type === "MaxPooling2D";
  const y = array([...w.out, channels]);
  const count = new Int32Array(w.out[0] * w.out[1]);
  if (max) y.data.fill(-Infinity);
  taps(w, x.shape, (from, to) => {
    count[to]++;
    for (let c = 0; c < channels; c++) {
      const v = x.data[from * channels + c];
      const o = to * channels + c;
      if (!max) y.data[o] += v;
      else if (v > y.data[o]) y.data[o] = v;
    }
  });
  if (!max) for (let o = 0; o < y.data.length; o++) y.data[o] /= count[(o / channels) | 0];
  return { y, w, count };
}

function poolBackward(layer, x, dy) {
  const { y, w, count } = poolForward(layer, x);
  const channels = x.shape[2];
  const dx = array(x.shape);
  const taken = new Uint8Array(dy.data.length);
  taps(w, x.shape, (from, to) => {
    for (let c = 0; c < channels; c++) {
      const i = from * channels + c;
      const o = to * channels + c;
      if (layer.type !== "MaxPooling2D") dx.data[i] += dy.data[o] / count[to];
      else if (!taken[o] && x.data[i] === y.data[o]) {
        taken[o] = 1; // the first of equal ones, in reading order, gets it all
        dx.data[i] += dy.data[o];
      }
    }
  });
  return dx;
}

function globalPool(layer, x) {
  const [height, width, channels] = x.shape;
  const n = height * width;
  const max = layer.type === "GlobalMaxPooling2D";
  const y = array([channels], new Float64Array(channels).fill(max ? -Infinity : 0));
  for (let i = 0; i < x.data.length; i++) {
    const c = i % channels;
    y.data[c] = max ? Math.max(y.data[c], x.data[i]) : y.data[c] + x.data[i] / n;
  }
  return layer.config.keepdims ? array([1, 1, channels], y.data) : y;
}

function globalPoolBackward(layer, x, dy) {
  const [height, width, channels] = x.shape;
  const n = height * width;
  const dx = array(x.shape);
  const top = globalPool(layer, x).data;
  const ties = new Int32Array(channels);
  const max = layer.type === "GlobalMaxPooling2D";
  for (let i = 0; i < x.data.length; i++) if (x.data[i] === top[i % channels]) ties[i % channels]++;
  for (let i = 0; i < x.data.length; i++) {
    const c = i % channels;
    if (!max) dx.data[i] = dy.data[c] / n;
    else if (x.data[i] === top[c]) dx.data[i] = dy.data[c] / ties[c]; // equal maxima share
  }
  return dx;
}

function dense(x, kernel, bias) {
  const [features, units] = kernel.shape;
  if (x.shape.at(-1) !== features) {
    throw new Error(
      `The dense layer expects ${features} features, and now gets ${x.shape.at(-1)}.`,
    );
  }
  const z = array([...x.shape.slice(0, -1), units]);
  for (let s = 0; s * features < x.data.length; s++) {
    if (bias) z.data.set(bias.data, s * units);
    for (let k = 0; k < features; k++) {
      const v = x.data[s * features + k];
      if (v !== 0) {
        for (let u = 0; u < units; u++) z.data[s * units + u] += v * kernel.data[k * units + u];
      }
    }
  }
  return z;
}

function denseBackward(dz, x, kernel) {
  const [features, units] = kernel.shape;
  const dx = array(x.shape);
  const dk = array(kernel.shape);
  for (let i = 0; i < x.data.length; i++) {
    const k = i % features;
    const o = ((i / features) | 0) * units;
    for (let u = 0; u < units; u++) {
      dx.data[i] += dz.data[o + u] * kernel.data[k * units + u];
      dk.data[k * units + u] += dz.data[o + u] * x.data[i];
    }
  }
  return { dx, dk };
}

export function paddingOf(layer) {
  const p = layer.config.padding;
  return Array.isArray(p[0])
    ? p
    : [
        [p[0], p[0]],
        [p[1], p[1]],
      ];
}

function shifted(shape, inner, pad, visit) {
  const [height, width, channels] = inner;
  const [[top], [left]] = pad;
  for (let y = 0; y < height; y++) {
    for (let i = 0; i < width * channels; i++) {
      visit(y * width * channels + i, ((y + top) * shape[1] + left) * channels + i);
    }
  }
}

function zeroPadded(layer, x) {
  const p = paddingOf(layer);
  const [height, width, channels] = x.shape;
  const y = array([height + p[0][0] + p[0][1], width + p[1][0] + p[1][1], channels]);
  shifted(y.shape, x.shape, p, (from, to) => {
    y.data[to] = x.data[from];
  });
  return y;
}

function concatenate(xs) {
  const channels = xs.map((x) => x.shape.at(-1));
  const total = channels.reduce((a, b) => a + b);
  const y = array([...xs[0].shape.slice(0, -1), total]);
  let start = 0;
  xs.forEach((x, n) => {
    for (let i = 0; i < x.data.length; i++) {
      y.data[((i / channels[n]) | 0) * total + start + (i % channels[n])] = x.data[i];
    }
    start += channels[n];
  });
  return y;
}

function split(xs, dy) {
  const total = dy.shape.at(-1);
  let start = 0;
  return xs.map((x) => {
    const n = x.shape.at(-1);
    const first = start;
    start += n;
    return array(
      x.shape,
      Float64Array.from(x.data, (_, i) => dy.data[((i / n) | 0) * total + first + (i % n)]),
    );
  });
}

function sameShapes(xs) {
  for (const x of xs) {
    if (x.shape.join() !== xs[0].shape.join()) {
      throw new Error(
        `Add expects inputs of one shape: ${xs.map((a) => a.shape.join("×")).join(", ")}.`,
      );
    }
  }
}

// Parts of a forward pass, each short, so that a page can breathe between them.
function* forwardParts(layer, xs) {
  const x = xs[0];
  const p = layer.params;
  const c = layer.config;
  if (CONVOLUTIONS.has(layer.type)) {
    const w = layerWindow(layer, x.shape);
    const kernel = p.kernel ?? p.depthwise_kernel;
    const separable = layer.type === "SeparableConv2D";
    const plain = layer.type === "Conv2D";
    const deep = plain ? kernel.shape[3] : kernel.shape[2] * kernel.shape[3];
    let z = array([...w.out, deep]);
    for (const rows of rowParts(w, size(kernel.shape))) {
      if (plain) conv(x, kernel, p.bias, w, c.groups, z, rows);
      else depthwise(x, kernel, separable ? null : p.bias, w, z, rows);
      yield;
    }
    let h = null;
    if (separable) {
      h = rounded(z);
      z = array([...w.out, c.filters]);
      const one = pointwiseWindow(h.shape);
      for (const rows of rowParts(one, size(p.pointwise_kernel.shape))) {
        conv(h, p.pointwise_kernel, p.bias, one, 1, z, rows);
        yield;
      }
    }
    return { z, y: activate(activationOf(layer), z), h };
  }
  yield;
  switch (layer.type) {
    case "Dense": {
      const z = dense(x, p.kernel, p.bias);
      return { z, y: activate(activationOf(layer), z) };
    }
    case "MaxPooling2D":
    case "AveragePooling2D":
      return { y: poolForward(layer, x).y };
    case "GlobalAveragePooling2D":
    case "GlobalMaxPooling2D":
      return { y: globalPool(layer, x) };
    case "BatchNormalization": {
      const n = x.shape.at(-1);
      const per = Array.from({ length: n }, (_, k) => normalization(layer, k));
      return {
        y: map(x, (v, i) => {
          const s = per[i % n];
          return (v - s.mean) * s.inverse * s.gamma + s.beta;
        }),
      };
    }
    case "Activation":
    case "Softmax":
      return { z: x, y: activate(activationOf(layer), x) };
    case "ReLU":
      return { y: map(x, reluOf(c).y) };
    case "Dropout":
    case "InputLayer":
      return { y: x };
    case "Rescaling": {
      const n = x.shape.at(-1);
      const scale = perChannel(c.scale, n);
      const offset = perChannel(c.offset, n);
      return { y: map(x, (v, i) => v * scale[i % n] + offset[i % n]) };
    }
    case "Flatten":
      return { y: array([x.data.length], x.data) };
    case "Reshape": {
      const known = c.target_shape.reduce((a, b) => (b === -1 ? a : a * b), 1);
      const shape = c.target_shape.map((s) => (s === -1 ? x.data.length / known : s));
      if (size(shape) !== x.data.length) {
        throw new Error(`Reshape expects ${size(shape)} numbers, and now gets ${x.data.length}.`);
      }
      return { y: array(shape, x.data) };
    }
    case "ZeroPadding2D":
      return { y: zeroPadded(layer, x) };
    case "Add": {
      sameShapes(xs);
      return { y: map(x, (v, i) => xs.reduce((sum, a) => sum + a.data[i], 0)) };
    }
    case "Concatenate":
      return { y: concatenate(xs) };
    default:
      throw new Error(`The page cannot compute a layer of class ${layer.type}.`);
  }
}

function finish(out) {
  return { z: out.z, h: out.h, y: rounded(out.y) };
}

function atOnce(parts) {
  for (;;) {
    const { done, value } = parts.next();
    if (done) return value;
  }
}

async function inParts(parts, breathe) {
  for (;;) {
    const { done, value } = parts.next();
    if (done) return value;
    await breathe();
  }
}

export const forward = (layer, xs) => finish(atOnce(forwardParts(layer, xs)));

export const forwardAsync = async (layer, xs, breathe) =>
  finish(await inParts(forwardParts(layer, xs), breathe));

// d loss / d z, before the activation.
export function throughActivation(layer, out, dy) {
  if (layer.type === "ReLU") return dy;
  const name = activationOf(layer);
  return name === "linear" ? dy : activateBackward(name, dy, out.z ?? out.y, out.y);
}

// `out` is what forward gave; z may be missing where the activation's slope shows in y.
export const backward = (...given) => atOnce(backwardParts(...given));

export const backwardAsync = (breathe, ...given) => inParts(backwardParts(...given), breathe);

function* backwardParts(layer, xs, out, dy, dz = throughActivation(layer, out, dy)) {
  const x = xs[0];
  const p = layer.params;
  const c = layer.config;
  const grads = {};
  const only = (dx) => ({ dxs: [dx], grads, dz });
  switch (layer.type) {
    case "Conv2D": {
      const found = yield* convBackward(dz, x, p.kernel, layerWindow(layer, x.shape), c.groups);
      grads.kernel = found.dk;
      if (p.bias) grads.bias = biasGradient(dz);
      return only(found.dx);
    }
    case "DepthwiseConv2D": {
      const found = yield* depthwiseBackward(dz, x, p.kernel, layerWindow(layer, x.shape));
      grads.kernel = found.dk;
      if (p.bias) grads.bias = biasGradient(dz);
      return only(found.dx);
    }
    case "SeparableConv2D": {
      const w = layerWindow(layer, x.shape);
      const h = out.h ?? hidden(layer, x);
      const first = yield* convBackward(dz, h, p.pointwise_kernel, pointwiseWindow(h.shape), 1);
      const second = yield* depthwiseBackward(first.dx, x, p.depthwise_kernel, w);
      grads.depthwise_kernel = second.dk;
      grads.pointwise_kernel = first.dk;
      if (p.bias) grads.bias = biasGradient(dz);
      return { ...only(second.dx), dh: first.dx };
    }
    case "Dense": {
      const found = denseBackward(dz, x, p.kernel);
      grads.kernel = found.dk;
      if (p.bias) grads.bias = biasGradient(dz);
      return only(found.dx);
    }
    case "MaxPooling2D":
    case "AveragePooling2D":
      return only(poolBackward(layer, x, dy));
    case "GlobalAveragePooling2D":
    case "GlobalMaxPooling2D":
      return only(globalPoolBackward(layer, x, dy));
    case "BatchNormalization": {
      const n = x.shape.at(-1);
      const per = Array.from({ length: n }, (_, k) => normalization(layer, k));
      if (p.gamma) grads.gamma = array([n]);
      if (p.beta) grads.beta = biasGradient(dy);
      const dx = map(dy, (d, i) => {
        const s = per[i % n];
        if (p.gamma) grads.gamma.data[i % n] += d * (x.data[i] - s.mean) * s.inverse;
        return d * s.gamma * s.inverse;
      });
      return only(dx);
    }
    case "Activation":
    case "Softmax":
      return only(dz);
    case "ReLU": {
      const f = reluOf(c);
      return only(map(dy, (d, i) => d * f.slope(x.data[i])));
    }
    case "Dropout":
    case "InputLayer":
      return only(dy);
    case "Rescaling": {
      const n = x.shape.at(-1);
      const scale = perChannel(c.scale, n);
      return only(map(dy, (d, i) => d * scale[i % n]));
    }
    case "Flatten":
    case "Reshape":
      return only(array(x.shape, dy.data));
    case "ZeroPadding2D": {
      const dx = array(x.shape);
      shifted(dy.shape, x.shape, paddingOf(layer), (to, from) => {
        dx.data[to] = dy.data[from];
      });
      return only(dx);
    }
    case "Add":
      return { dxs: xs.map(() => dy), grads, dz };
    case "Concatenate":
      return { dxs: split(xs, dy), grads, dz };
    default:
      throw new Error(`The page has no gradient for a layer of class ${layer.type}.`);
  }
}

// What stands between the two halves of a separable convolution.
export function hidden(layer, x) {
  const w = layerWindow(layer, x.shape);
  const kernel = layer.params.depthwise_kernel;
  const z = array([...w.out, kernel.shape[2] * kernel.shape[3]]);
  depthwise(x, kernel, null, w, z, [0, w.out[0]]);
  return rounded(z);
}

// -- where backward starts: L is the cross-entropy or, without classes, one number of the output --

// Probabilities of the classes, given the output. kind: "logits", "softmax", "sigmoid".
export function probabilities(kind, y) {
  if (kind === "logits") return softmax(y).data;
  return kind === "sigmoid" ? Float64Array.of(1 - y.data[0], y.data[0]) : y.data;
}

// d loss / d logits: p − t. For one sigmoid unit t is 1 for the second class.
export function lossAtLogits(kind, p, target) {
  if (kind === "sigmoid") return Float64Array.of(p[1] - target);
  return Float64Array.from(p, (v, k) => v - (k === target ? 1 : 0));
}

// dL/dy, y being the output as the model gives it.
export function lossAtOutput(kind, y, target) {
  if (!kind) {
    return array(
      y.shape,
      Float64Array.from(y.data, (_, k) => (k === target ? 1 : 0)),
    );
  }
  const p = probabilities(kind, y);
  if (kind === "logits") return array(y.shape, lossAtLogits(kind, p, target));
  if (kind === "sigmoid") {
    const t = target;
    const v = Math.min(Math.max(y.data[0], 1e-7), 1 - 1e-7);
    return array(y.shape, Float64Array.of((v - t) / (v * (1 - v))));
  }
  const sum = y.data.reduce((a, b) => a + b, 0);
  return array(
    y.shape,
    Float64Array.from(
      y.data,
      (v, k) => (1 / sum) * (1 - (k === target ? 1 / Math.max(v / sum, 1e-7) : 0)),
    ),
  );
}
