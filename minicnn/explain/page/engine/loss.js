// @ts-check
// Where backward starts: L is the cross-entropy or, without classes, one number of the output.
import { array } from "page/engine/arrays.js";
import { softmax } from "page/engine/functions.js";

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
