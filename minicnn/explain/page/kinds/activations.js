// @ts-check
// Activations that are layers of their own.
import { array, map, offsetOf, unravel } from "page/engine/arrays.js";
import { SCALAR, elu, leakyRelu, reluOf, textOf } from "page/engine/curves.js";
import {
  activate,
  activationOf,
  softmax,
  softmaxAlong,
  softmaxAlongBackward,
} from "page/engine/functions.js";
import { short } from "page/explain/terms.js";
import { words } from "page/words.js";

function forwardActivation({ layer, x }) {
  return { z: x, y: activate(activationOf(layer), x) };
}

// The curve of a layer that is one.
export const CURVES = {
  ReLU: reluOf,
  LeakyReLU: (c) => leakyRelu(c.negative_slope),
  ELU: (c) => elu(c.alpha),
};
const forwardCurve = ({ layer, x, c }) => ({ y: map(x, CURVES[layer.type](c).y) });

function backwardActivation({ dz }) {
  return { dxs: [dz], grads: {} };
}

function backwardCurve({ layer, x, c, dy }) {
  const f = CURVES[layer.type](c);
  return { dxs: [map(dy, (d, i) => d * f.slope(x.data[i]))], grads: {} };
}

function explainActivation({ layer, x, at, c }) {
  const input = x.data[offsetOf(x.shape, at)];
  const name = activationOf(layer);
  if (name === "softmax") {
    return { form: "softmax", activation: "softmax", total: input, z: input };
  }
  if (name === "log_softmax") return explainLogSoftmax({ x, at, input });
  const f = CURVES[layer.type]?.(c) ?? SCALAR[name];
  return {
    form: "curve",
    f,
    input,
    name: CURVES[layer.type] ? layer.type : name,
    text: textOf(f, "x"),
    total: input,
    value: f.y(input),
  };
}

function explainLogSoftmax({ x, at, input }) {
  const n = x.shape.at(-1);
  const start = offsetOf(x.shape, [...at.slice(0, -1), 0]);
  const scores = Array.from(x.data.slice(start, start + n));
  const top = Math.max(...scores);
  const sum = scores.reduce((a, v) => a + Math.exp(v - top), 0);
  return {
    form: "steps",
    total: input - top - Math.log(sum),
    value: input - top - Math.log(sum),
    lines: [
      ["x", words("steps.this_score"), input],
      ["− m", words("steps.largest_score"), input - top],
      ["− log Σ", words("steps.all_scores"), input - top - Math.log(sum)],
    ],
  };
}

function explainInputActivation({ net, layer, node, x, at, k, dz, dy, y, c }) {
  const o = offsetOf(x.shape, at);
  const name = activationOf(layer);
  if (name === "softmax") {
    const v = y.data[o];
    if (node.id === net.output && net.kind === "softmax") {
      const t = net.target === k ? 1 : 0;
      return {
        form: "steps",
        total: v - t,
        lines: [
          ["p", words("steps.probability"), v],
          [`− ${t}`, t ? words("steps.loss_this") : words("steps.loss_another"), v - t],
        ],
      };
    }
    const mean =
      y.shape.reduce((a, b) => a * b, 1) === y.shape.at(-1)
        ? dy.data.reduce((a, d, i) => a + d * y.data[i], 0)
        : NaN;
    return {
      form: "steps",
      total: dz.data[o],
      lines: [
        ["dy", words("steps.gradient_probability"), dy.data[o]],
        ["− Σ dy·p", `− ${short(mean)}`, dy.data[o] - mean],
        ["× p", `× ${short(v)}`, dz.data[o]],
      ],
    };
  }
  if (name === "log_softmax") {
    return {
      form: "steps",
      total: dz.data[o],
      lines: [
        ["dy", words("steps.gradient_number"), dy.data[o]],
        ["− Σ dy·softmax", words("steps.sent_back"), dz.data[o]],
      ],
    };
  }
  const f = CURVES[layer.type]?.(c) ?? SCALAR[name];
  const v = x.data[o];
  if (node.id === net.output && net.kind === "sigmoid") {
    return {
      form: "steps",
      total: dz.data[o],
      lines: [
        ["p", words("steps.probability_1"), y.data[o]],
        [`− ${net.target}`, words("steps.loss_class"), dz.data[o]],
      ],
    };
  }
  const slope = f.slope(v, y.data[o]);
  return {
    form: "steps",
    total: dy.data[o] * slope,
    lines: [
      ["dy", words("steps.gradient_here"), dy.data[o]],
      [
        words("steps.slope"),
        words("steps.slope_of", { slope: short(slope), what: textOf(f, "x"), x: short(v) }),
        dy.data[o] * slope,
      ],
    ],
  };
}

export const Activation = {
  forward: forwardActivation,
  backward: backwardActivation,
  explain: explainActivation,
  explainInput: explainInputActivation,
};

// A softmax along the last axis is an activation; along another, a layer that computes.
const axisOf = ({ x, c }) => (c.axis < 0 ? x.shape.length + c.axis : c.axis - 1);
const isLast = ({ c }) => c.axis === -1;

function forwardSoftmax(pass) {
  const { x } = pass;
  return isLast(pass) ? { z: x, y: softmax(x) } : { y: softmaxAlong(x, axisOf(pass)) };
}

function backwardSoftmax(pass) {
  if (isLast(pass)) return { dxs: [pass.dz], grads: {} };
  const y = softmaxAlong(pass.x, axisOf(pass));
  return { dxs: [softmaxAlongBackward(pass.dy, y, axisOf(pass))], grads: {} };
}

function explainSoftmax(cell) {
  if (isLast(cell)) return explainActivation(cell);
  const { x, at } = cell;
  const axis = axisOf(cell);
  const scores = Array.from({ length: x.shape[axis] }, (_, i) => {
    return x.data[offsetOf(x.shape, at.with(axis, i))];
  });
  const top = Math.max(...scores);
  const sum = scores.reduce((a, v) => a + Math.exp(v - top), 0);
  const input = x.data[offsetOf(x.shape, at)];
  const value = Math.exp(input - top) / sum;
  return {
    form: "steps",
    total: value,
    value,
    lines: [
      ["e^(x − m)", words("steps.largest_along", { axis }), Math.exp(input - top)],
      ["÷ Σ", words("steps.sum_along", { axis }), value],
    ],
  };
}

function explainInputSoftmax(cell) {
  if (isLast(cell)) return explainInputActivation(cell);
  const { x, y, dy, at } = cell;
  const axis = axisOf(cell);
  let mean = 0;
  for (let i = 0; i < x.shape[axis]; i++) {
    const o = offsetOf(x.shape, at.with(axis, i));
    mean += dy.data[o] * y.data[o];
  }
  const o = offsetOf(x.shape, at);
  const total = y.data[o] * (dy.data[o] - mean);
  return {
    form: "steps",
    total,
    lines: [
      ["dy", words("steps.gradient_number"), dy.data[o]],
      ["− Σ dy·y", words("steps.along", { axis, mean: short(mean) }), dy.data[o] - mean],
      ["× y", `× ${short(y.data[o])}`, total],
    ],
  };
}

export const Softmax = {
  forward: forwardSoftmax,
  backward: backwardSoftmax,
  explain: explainSoftmax,
  explainInput: explainInputSoftmax,
};

const curveKind = {
  forward: forwardCurve,
  backward: backwardCurve,
  explain: explainActivation,
  explainInput: explainInputActivation,
};

export const ReLU = curveKind;
export const LeakyReLU = curveKind;
export const ELU = curveKind;

// -- PReLU: the slope below 0 is a weight ---------------------------------------------------------

const alphaPlace = (alpha, at) => at.map((i, axis) => (alpha.shape[axis] === 1 ? 0 : i));
const alphaIndex = (alpha, at) => offsetOf(alpha.shape, alphaPlace(alpha, at));

function forwardPReLU({ x, p }) {
  return {
    y: map(x, (v, i) => (v > 0 ? v : v * p.alpha.data[alphaIndex(p.alpha, unravel(x.shape, i))])),
  };
}

function backwardPReLU({ x, p, dy }) {
  const alpha = array(p.alpha.shape);
  const dx = map(dy, (d, i) => {
    if (x.data[i] > 0) return d;
    if (x.data[i] === 0) return 0;
    const k = alphaIndex(p.alpha, unravel(x.shape, i));
    alpha.data[k] += d * x.data[i];
    return d * p.alpha.data[k];
  });
  return { dxs: [dx], grads: { alpha } };
}

function explainPReLU({ x, at, p }) {
  const input = x.data[offsetOf(x.shape, at)];
  const f = leakyRelu(p.alpha.data[alphaIndex(p.alpha, at)]);
  const text = words("curve.prelu");
  return { form: "curve", f, input, name: "PReLU", text, total: input, value: f.y(input) };
}

function explainInputPReLU({ x, at, p, dy }) {
  const o = offsetOf(x.shape, at);
  const v = x.data[o];
  const slope = v > 0 ? 1 : v < 0 ? p.alpha.data[alphaIndex(p.alpha, at)] : 0;
  return {
    form: "steps",
    total: dy.data[o] * slope,
    lines: [
      ["dy", words("steps.gradient_here"), dy.data[o]],
      [
        words("steps.slope"),
        `× ${short(slope)}, ${v > 0 ? words("steps.x_above") : "alpha"}`,
        dy.data[o] * slope,
      ],
    ],
  };
}

function alphaTerms({ x, dz, at, p, units, width, add }) {
  for (let i = 0; i < x.data.length; i++) {
    const place = alphaPlace(p.alpha, unravel(x.shape, i));
    if (x.data[i] < 0 && place.join() === at.join()) {
      const o = Math.floor(i / units);
      add(o, x.data[i], dz.data[i], Math.floor(o / width), o % width);
    }
  }
}

export const PReLU = {
  forward: forwardPReLU,
  backward: backwardPReLU,
  explain: explainPReLU,
  explainInput: explainInputPReLU,
  weights: { alpha: alphaTerms },
};
