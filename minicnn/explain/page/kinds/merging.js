// @ts-check
// Layers with several inputs.
import { array, map, offsetOf } from "page/engine/arrays.js";
import { sumOf } from "page/explain/terms.js";
import { explainInputSamePlace } from "page/kinds/moves.js";

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
        `Add expects inputs of one shape, but gets ${xs.map((a) => a.shape.join("×")).join(", ")}.`,
      );
    }
  }
}

function forwardAdd({ xs, x }) {
  sameShapes(xs);
  return { y: map(x, (v, i) => xs.reduce((sum, a) => sum + a.data[i], 0)) };
}

function forwardConcatenate({ xs }) {
  return { y: concatenate(xs) };
}

function backwardAdd({ xs, dy }) {
  const grads = {};
  return { dxs: xs.map(() => dy), grads };
}

function backwardConcatenate({ xs, dy }) {
  const grads = {};
  return { dxs: split(xs, dy), grads };
}

function explainAdd({ xs, at, y }) {
  const o = offsetOf(y.shape, at);
  const from = xs.map((a, n) => ({ at, value: a.data[o], input: n }));
  return {
    form: "copy",
    sum: true,
    from,
    value: sumOf(from, "value"),
    total: sumOf(from, "value"),
    text: "The sum of the numbers at the same place in all inputs.",
  };
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
    text:
      `${x.shape.length === 3 ? "Channel" : "Number"} ${last} of the output is ` +
      `${x.shape.length === 3 ? "channel" : "number"} ${k} of input ${n}.`,
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
    text:
      `The gradient of the output's ${x.shape.length === 3 ? "channel" : "number"} ` +
      `${start + k}.`,
  };
}

export const Add = {
  forward: forwardAdd,
  backward: backwardAdd,
  explain: explainAdd,
  explainInput: explainInputSamePlace,
};

export const Concatenate = {
  forward: forwardConcatenate,
  backward: backwardConcatenate,
  explain: explainConcatenate,
  explainInput: explainInputConcatenate,
};
