// @ts-check
// Layers with several inputs.
import { array, offsetOf, unravel } from "page/engine/arrays.js";
import { words } from "page/words.js";

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

// Merges element by element: the result for some numbers, and how much it changes with each. An
// input that has size 1 in an axis counts for all places along it.
const first = (v, best) => v.indexOf(best(...v));
const MERGES = {
  Add: { of: sum, slope: () => 1 },
  Average: { of: (v) => sum(v) / v.length, slope: (v) => 1 / v.length },
  Maximum: {
    of: (v) => Math.max(...v),
    slope: (v, n) => (n === first(v, Math.max) ? 1 : 0),
  },
  Minimum: {
    of: (v) => Math.min(...v),
    slope: (v, n) => (n === first(v, Math.min) ? 1 : 0),
  },
  Multiply: {
    of: (v) => v.reduce((a, b) => a * b),
    slope: (v, n) => v.reduce((a, b, m) => (m === n ? a : a * b), 1),
  },
  Subtract: { of: (v) => v[0] - v[1], slope: (v, n) => (n ? -1 : 1) },
  Divide: {
    of: (v) => v[0] / v[1],
    slope: (v, n) => (n ? -v[0] / (v[1] * v[1]) : 1 / v[1]),
  },
  CustomScaleLayer: {
    of: (v, c) => v[0] + c.scale * v[1],
    slope: (v, n, c) => (n ? c.scale : 1),
  },
};

function sum(values) {
  return values.reduce((a, b) => a + b, 0);
}

const own = (x, at) => at.map((i, axis) => (x.shape[axis] === 1 ? 0 : i));
const valuesAt = (xs, at) => xs.map((x) => x.data[offsetOf(x.shape, own(x, at))]);

function mergedShape(type, xs) {
  const shape = xs[0].shape.map((_, axis) => Math.max(...xs.map((x) => x.shape[axis])));
  for (const x of xs) {
    const fits = x.shape.every((n, axis) => n === 1 || n === shape[axis]);
    if (x.shape.length !== shape.length || !fits) {
      throw new Error(
        words("merge.shapes", { type, shapes: xs.map((a) => a.shape.join("×")).join(", ") }),
      );
    }
  }
  return shape;
}

function forwardMerge({ layer, xs, c }) {
  const y = array(mergedShape(layer.type, xs));
  const { of } = MERGES[layer.type];
  const equal = xs.every((x) => x.data.length === y.data.length);
  for (let i = 0; i < y.data.length; i++) {
    y.data[i] = of(equal ? xs.map((x) => x.data[i]) : valuesAt(xs, unravel(y.shape, i)), c);
  }
  return { y };
}

function backwardMerge({ layer, xs, dy, c }) {
  const { slope } = MERGES[layer.type];
  const dxs = xs.map((x) => array(x.shape));
  for (let i = 0; i < dy.data.length; i++) {
    const at = unravel(dy.shape, i);
    const values = valuesAt(xs, at);
    xs.forEach((x, n) => {
      dxs[n].data[offsetOf(x.shape, own(x, at))] += dy.data[i] * slope(values, n, c);
    });
  }
  return { dxs, grads: {} };
}

function explainMerge({ layer, xs, at, c }) {
  const { of } = MERGES[layer.type];
  const values = valuesAt(xs, at);
  const value = of(values, c);
  return {
    form: "copy",
    sum: true,
    title: words(`merge.${layer.type}.title`, { n: xs.length }),
    from: xs.map((x, n) => ({ at: own(x, at), value: values[n], input: n })),
    value,
    total: value,
    text: words(`merge.${layer.type}.text`),
  };
}

function explainInputMerge({ layer, xs, at, which, dy, c }) {
  const { slope } = MERGES[layer.type];
  let total = 0;
  let received = 0;
  let places = 0;
  for (let i = 0; i < dy.data.length; i++) {
    const to = unravel(dy.shape, i);
    if (own(xs[which], to).join() !== at.join()) continue;
    places += 1;
    received += dy.data[i];
    total += dy.data[i] * slope(valuesAt(xs, to), which, c);
  }
  const where = places === 1 ? words("steps.gradient_here") : words("merge.places", { n: places });
  return {
    form: "steps",
    total,
    lines: [
      ["dy", where, received],
      [words("steps.slope"), words("merge.changes"), total],
    ],
  };
}

function forwardConcatenate({ xs }) {
  return { y: concatenate(xs) };
}

function backwardConcatenate({ xs, dy }) {
  const grads = {};
  return { dxs: split(xs, dy), grads };
}

function explainConcatenate({ at, xs, x, last }) {
  let k = last;
  let n = 0;
  while (k >= xs[n].shape.at(-1)) k -= xs[n++].shape.at(-1);
  const from = [...at.slice(0, -1), k];
  const value = xs[n].data[offsetOf(xs[n].shape, from)];
  return {
    form: "copy",
    from: [{ at: from, value, input: n }],
    value,
    total: value,
    text: words(`merge.from_${x.shape.length === 3 ? "map" : "number"}`, { to: last, k, n }),
  };
}

function explainInputConcatenate({ at, xs, x, k, which, dy }) {
  const start = xs.slice(0, which).reduce((n, a) => n + a.shape.at(-1), 0);
  const to = [...at.slice(0, -1), start + k];
  const v = dy.data[offsetOf(dy.shape, to)];
  return {
    form: "copy",
    from: [{ at: to, value: v, back: true }],
    total: v,
    text: words(`merge.gradient_${x.shape.length === 3 ? "map" : "number"}`, { k: start + k }),
  };
}

const merge = {
  forward: forwardMerge,
  backward: backwardMerge,
  explain: explainMerge,
  explainInput: explainInputMerge,
};

export const Add = merge;
export const Average = merge;
export const Maximum = merge;
export const Minimum = merge;
export const Multiply = merge;
export const Subtract = merge;
export const Divide = merge;
export const CustomScaleLayer = merge;

export const Concatenate = {
  forward: forwardConcatenate,
  backward: backwardConcatenate,
  explain: explainConcatenate,
  explainInput: explainInputConcatenate,
};
