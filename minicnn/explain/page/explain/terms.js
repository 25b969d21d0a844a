// @ts-check
// Helpers for the explanations of all kinds of layers.
import { SCALAR, textOf } from "page/engine/curves.js";
import { activationOf } from "page/engine/functions.js";
import { place } from "page/engine/windows.js";
import { power } from "page/powers.js";

export const sumOf = (list, key = "product") => list.reduce((sum, t) => sum + t[key], 0);

// One weight; `last` counts along the last axis, of which the page may have only a part. NaN if
// the page lacks the weight.
export function weightAt(param, first, last) {
  const n = param.kept ? param.kept.length : param.shape.at(-1);
  const column = param.kept ? param.kept.indexOf(last) : last;
  return column < 0 ? NaN : param.data[first * n + column];
}

export function windowTaps(w, x, oy, ox, channel, weight) {
  const [height, width, channels] = x.shape;
  const list = [];
  for (let i = 0; i < w.kernel[0]; i++) {
    for (let j = 0; j < w.kernel[1]; j++) {
      const row = place(w, 0, oy, i);
      const col = place(w, 1, ox, j);
      const padded = row < 0 || row >= height || col < 0 || col >= width;
      const input = padded ? 0 : x.data[(row * width + col) * channels + channel];
      const k = weight ? weight(i * w.kernel[1] + j) : 1;
      list.push({ row, col, i, j, input, weight: k, product: padded ? 0 : input * k, padded });
    }
  }
  return list;
}

// `bias` is null if the layer has none.
export function withActivation(layer, found, bias) {
  const z = found.total + (bias ?? 0);
  const name = activationOf(layer);
  const f = SCALAR[name];
  return { ...found, bias, z, activation: name, text: f ? textOf(f) : "", value: f ? f.y(z) : NaN };
}

export const biasAt = (layer, k) => (layer.params.bias ? layer.params.bias.data[k] : null);

export function short(v) {
  const a = Math.abs(v);
  if (Number.isFinite(v) && (a >= 1e4 || (a > 0 && a < 1e-3))) return power(v);
  return String(+v.toPrecision(4)).replace("-", "−");
}

export const signed = (v) => (v < 0 ? `(${short(v)})` : short(v));
