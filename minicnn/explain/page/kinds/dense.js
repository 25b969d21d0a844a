// @ts-check
// Dense: every unit reads every feature.
import { array, biasGradient, offsetOf } from "page/engine/arrays.js";
import { activate, activationOf } from "page/engine/functions.js";
import { biasAt, sumOf, weightAt, withActivation } from "page/explain/terms.js";
import { words } from "page/words.js";

function dense(x, kernel, bias) {
  const [features, units] = kernel.shape;
  if (x.shape.at(-1) !== features) {
    throw new Error(words("page.features", { n: features, got: x.shape.at(-1) }));
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

function forwardDense({ layer, x, p }) {
  const z = dense(x, p.kernel, p.bias);
  return { z, y: activate(activationOf(layer), z) };
}

function backwardDense({ x, p, dz }) {
  const grads = {};
  const found = denseBackward(dz, x, p.kernel);
  grads.kernel = found.dk;
  if (p.bias) grads.bias = biasGradient(dz);
  return { dxs: [found.dx], grads };
}

function explainDense({ at, layer, x, last, p }) {
  const features = p.kernel.shape[0];
  const start = offsetOf(x.shape, [...at.slice(0, -1), 0]);
  const terms = [];
  for (let k = 0; k < features; k++) {
    const input = x.data[start + k];
    const weight = weightAt(p.kernel, k, last);
    terms.push({ label: `x ${k}`, index: k, input, weight, product: input * weight });
  }
  return withActivation(layer, { form: "terms", terms, total: sumOf(terms) }, biasAt(layer, last));
}

function explainInputDense({ at, k, dz, p }) {
  const units = p.kernel.shape[1];
  const start = offsetOf(dz.shape, [...at.slice(0, -1), 0]);
  const terms = Array.from({ length: units }, (_, u) => {
    const input = dz.data[start + u];
    const weight = weightAt(p.kernel, k, u);
    return { label: `dz ${u}`, index: u, input, weight, product: input * weight };
  });
  return { form: "terms", back: true, terms, total: sumOf(terms) };
}

function denseWeight({ x, at, p, dz, units, last, n, add }) {
  const features = p.kernel.shape[0];
  for (let o = 0; o < n; o++) add(o, x.data[o * features + at[0]], dz.data[o * units + last]);
}

export const Dense = {
  forward: forwardDense,
  backward: backwardDense,
  explain: explainDense,
  explainInput: explainInputDense,
  weights: { kernel: denseWeight },
};
