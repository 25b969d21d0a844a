// @ts-check
// Dot products of two inputs, along an axis of each.
import { array, offsetOf, size, unravel } from "page/engine/arrays.js";
import { short } from "page/explain/terms.js";
import { words } from "page/words.js";

function axesOf({ config }, xs) {
  const given = Array.isArray(config.axes) ? config.axes : [config.axes, config.axes];
  return xs.map((x, n) => (given[n] < 0 ? given[n] + x.shape.length : given[n] - 1));
}

const without = (list, axis) => list.filter((_, i) => i !== axis);

// The vectors of each input: offsets of their numbers, and what they are multiplied by.
function vectors(layer, xs) {
  return axesOf(layer, xs).map((axis, n) => {
    const { shape, data } = xs[n];
    const rest = without(shape, axis);
    return Array.from({ length: size(rest) }, (_, i) => {
      const place = unravel(rest, i);
      const offsets = Array.from({ length: shape[axis] }, (__, k) =>
        offsetOf(shape, [...place.slice(0, axis), k, ...place.slice(axis)]),
      );
      const length = Math.sqrt(offsets.reduce((sum, o) => sum + data[o] ** 2, 0));
      return { offsets, scale: layer.config.normalize ? 1 / Math.max(length, 1e-7) : 1 };
    });
  });
}

function product(xs, a, b) {
  const sum = a.offsets.reduce((s, o, k) => s + xs[0].data[o] * xs[1].data[b.offsets[k]], 0);
  return sum * a.scale * b.scale;
}

function forwardDot({ layer, xs }) {
  const [rows, columns] = vectors(layer, xs);
  const axes = axesOf(layer, xs);
  const shape = xs.flatMap((x, n) => without(x.shape, axes[n]));
  const y = array(shape.length ? shape : [1]);
  rows.forEach((a, i) => {
    columns.forEach((b, j) => {
      y.data[i * columns.length + j] = product(xs, a, b);
    });
  });
  return { y };
}

// Calls visit with the offset of each number of input `which`, and its gradient.
function gradients(layer, xs, dy, which, visit) {
  const all = vectors(layer, xs);
  const [own, other] = [all[which], all[1 - which]];
  own.forEach((a, i) => {
    const d = a.offsets.map((_, k) =>
      other.reduce((sum, b, j) => {
        const at = which ? j * own.length + i : i * other.length + j;
        return sum + dy.data[at] * xs[1 - which].data[b.offsets[k]] * b.scale;
      }, 0),
    );
    const unit = a.offsets.map((o) => xs[which].data[o] * a.scale);
    const along = layer.config.normalize ? d.reduce((sum, v, k) => sum + v * unit[k], 0) : 0;
    a.offsets.forEach((o, k) => visit(o, d[k], (d[k] - unit[k] * along) * a.scale));
  });
}

function backwardDot({ layer, xs, dy }) {
  const dxs = xs.map((x) => array(x.shape));
  dxs.forEach((dx, n) => {
    gradients(layer, xs, dy, n, (o, _, value) => {
      dx.data[o] = value;
    });
  });
  return { dxs, grads: {} };
}

function explainDot({ layer, xs, at, y, c }) {
  const [rows, columns] = vectors(layer, xs);
  const o = offsetOf(y.shape, at);
  const [a, b] = [rows[Math.floor(o / columns.length)], columns[o % columns.length]];
  const value = product(xs, a, b);
  const sum = value / (a.scale * b.scale);
  const lines = [["Σ x0·x1", words("steps.over", { n: a.offsets.length }), sum]];
  if (c.normalize) {
    const lengths = `÷ ${short(1 / a.scale)} ÷ ${short(1 / b.scale)}`;
    lines.push([words("steps.lengths"), words("steps.cosine", { lengths }), value]);
  }
  return { form: "steps", value, total: value, lines };
}

function explainInputDot({ layer, xs, at, which, dy, c }) {
  const o = offsetOf(xs[which].shape, at);
  const lines = [];
  let total = 0;
  gradients(layer, xs, dy, which, (offset, received, value) => {
    if (offset !== o) return;
    total = value;
    lines.push(["Σ dy·x", words("steps.other_input"), received]);
    if (c.normalize) lines.push([words("steps.length"), words("steps.less"), value]);
  });
  return { form: "steps", total, lines };
}

export const Dot = {
  forward: forwardDot,
  backward: backwardDot,
  explain: explainDot,
  explainInput: explainInputDot,
  reads: (_, __, shape) => [0, shape[0] - 1, 0, shape[1] - 1],
  fills: () => [0, -1, 0, -1],
};
