// @ts-check
// Activations of arrays: y from z, and their gradients.
import { array, map } from "page/engine/arrays.js";
import { SCALAR, elu, leakyRelu, reluOf } from "page/engine/curves.js";

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

function logSoftmax(x) {
  return map(softmax(x), Math.log);
}

function logSoftmaxBackward(dy, y) {
  const n = y.shape.at(-1);
  const dz = array(y.shape);
  for (let s = 0; s < y.data.length; s += n) {
    let sum = 0;
    for (let i = s; i < s + n; i++) sum += dy.data[i];
    for (let i = s; i < s + n; i++) dz.data[i] = dy.data[i] - Math.exp(y.data[i]) * sum;
  }
  return dz;
}

export function activate(name, z) {
  if (name === "softmax") return softmax(z);
  if (name === "log_softmax") return logSoftmax(z);
  return name === "linear" ? z : map(z, SCALAR[name].y);
}

export function activateBackward(name, dy, z, y) {
  if (name === "softmax") return softmaxBackward(dy, y);
  if (name === "log_softmax") return logSoftmaxBackward(dy, y);
  if (name === "linear") return dy;
  return map(dy, (d, i) => (d === 0 ? 0 : d * SCALAR[name].slope(z.data[i], y.data[i])));
}

// A softmax along another axis than the last: that axis moves to the end, and back.
export function softmaxAlong(x, axis) {
  return moveLast(softmax(moveLast(x, axis, false)), axis, true);
}

export function softmaxAlongBackward(dy, y, axis) {
  const [a, b] = [dy, y].map((v) => moveLast(v, axis, false));
  return moveLast(softmaxBackward(a, b), axis, true);
}

function moveLast(x, axis, back) {
  const shape = [...x.shape];
  if (back) shape.splice(axis, 0, shape.pop());
  else shape.push(shape.splice(axis, 1)[0]);
  const whole = back ? shape : x.shape;
  const after = whole.slice(axis + 1).reduce((p, q) => p * q, 1);
  const along = whole[axis];
  const y = array(shape);
  for (let i = 0; i < x.data.length; i++) {
    // i counts in the order of the whole; the same number in the order with the axis last.
    const b = i % after;
    const a = Math.floor(i / after) % along;
    const o = Math.floor(i / (after * along));
    const moved = (o * after + b) * along + a;
    if (back) y.data[i] = x.data[moved];
    else y.data[moved] = x.data[i];
  }
  return y;
}

const WITH_NUMBERS = {
  LeakyReLU: (c) => leakyRelu(c.negative_slope),
  ELU: (c) => elu(c.alpha),
  ReLU: reluOf,
};

// The name of a layer's activation; one with numbers of its own joins the table under a new name.
export function activationOf(layer) {
  if (layer.type === "Softmax") return layer.config.axis === -1 ? "softmax" : "linear";
  const given = layer.config.activation ?? "linear";
  if (typeof given === "string") return given;
  const { class_name: kind, config } = given;
  const numbers = ["negative_slope", "alpha", "max_value", "threshold"].filter((k) => config[k]);
  const name = `${kind}(${numbers.map((k) => `${k} ${config[k]}`).join(", ")})`;
  SCALAR[name] ??= WITH_NUMBERS[kind](config);
  return name;
}
