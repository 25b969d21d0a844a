// @ts-check
// Activations: y from z, and their gradients.
import { array, map } from "page/engine/arrays.js";

const sigmoid = (v) => (v >= 0 ? 1 / (1 + Math.exp(-v)) : Math.exp(v) / (1 + Math.exp(v)));

// y and dy/dz of an elementwise activation; the slope gets z and y.
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
  const most = top < Infinity ? `, at most ${top}` : "";
  const below = leak ? `${leak} · ${low ? `(x − ${low})` : "x"} below` : "else 0";
  const plain = top < Infinity ? `min(max(x, 0), ${top})` : "max(x, 0)";
  return {
    y: (x) => (x >= top ? top : x > low ? x : leak * (x - low)),
    slope: (x) => (x >= top ? 0 : x > low ? 1 : leak),
    corners: [low, ...(top < Infinity ? [top] : [])],
    text: !leak && !low ? plain : `x above ${low}, ${below}${most}`,
  };
}

export function softmax(x) {
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

export function activate(name, z) {
  if (name === "softmax") return softmax(z);
  return name === "linear" ? z : map(z, SCALAR[name].y);
}

export function activateBackward(name, dy, z, y) {
  if (name === "softmax") return softmaxBackward(dy, y);
  if (name === "linear") return dy;
  return map(dy, (d, i) => (d === 0 ? 0 : d * SCALAR[name].slope(z.data[i], y.data[i])));
}

export const activationOf = (layer) =>
  layer.type === "Softmax" ? "softmax" : (layer.config.activation ?? "linear");
