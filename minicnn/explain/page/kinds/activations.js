// @ts-check
// Activations that are layers of their own.
import { map, offsetOf } from "page/engine/arrays.js";
import { SCALAR, activate, activationOf, reluOf } from "page/engine/functions.js";
import { short } from "page/explain/terms.js";

function forwardActivation({ layer, x }) {
  return { z: x, y: activate(activationOf(layer), x) };
}

function forwardReLU({ x, c }) {
  return { y: map(x, reluOf(c).y) };
}

function backwardActivation({ dz }) {
  return { dxs: [dz], grads: {} };
}

function backwardReLU({ x, c, dy }) {
  const f = reluOf(c);
  return { dxs: [map(dy, (d, i) => d * f.slope(x.data[i]))], grads: {} };
}

function explainActivation({ layer, x, at, c }) {
  const input = x.data[offsetOf(x.shape, at)];
  const name = activationOf(layer);
  if (name === "softmax") {
    return { form: "softmax", activation: "softmax", total: input, z: input };
  }
  const f = layer.type === "ReLU" ? reluOf(c) : SCALAR[name];
  return {
    form: "curve",
    f,
    input,
    name: layer.type === "ReLU" ? "ReLU" : name,
    text: f.text.replaceAll("z", "x"),
    total: input,
    value: f.y(input),
  };
}

function explainInputActivation({ net, layer, node, x, at, k, dz, dy, y, c }) {
  const o = offsetOf(x.shape, at);
  const name = activationOf(layer);
  if (layer.type !== "ReLU" && name === "softmax") {
    const v = y.data[o];
    if (node.id === net.output && net.kind === "softmax") {
      const t = net.target === k ? 1 : 0;
      return {
        form: "steps",
        total: v - t,
        lines: [
          ["p", "the probability", v],
          [`− ${t}`, t ? "the loss is for this class" : "the loss is for another class", v - t],
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
        ["dy", "gradient of this probability", dy.data[o]],
        ["− Σ dy·p", `− ${short(mean)}`, dy.data[o] - mean],
        ["× p", `× ${short(v)}`, dz.data[o]],
      ],
    };
  }
  const f = layer.type === "ReLU" ? reluOf(c) : SCALAR[name];
  const v = x.data[o];
  if (node.id === net.output && net.kind === "sigmoid") {
    return {
      form: "steps",
      total: dz.data[o],
      lines: [
        ["p", "the probability of class 1", y.data[o]],
        [`− ${net.target}`, "the class of the loss", dz.data[o]],
      ],
    };
  }
  const slope = f.slope(v, y.data[o]);
  return {
    form: "steps",
    total: dy.data[o] * slope,
    lines: [
      ["dy", "gradient of the output here", dy.data[o]],
      [
        "× slope",
        `× ${short(slope)}, the slope of ${f.text.replaceAll("z", "x")} at x = ${short(v)}`,
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

export const Softmax = {
  forward: forwardActivation,
  backward: backwardActivation,
  explain: explainActivation,
  explainInput: explainInputActivation,
};

export const ReLU = {
  forward: forwardReLU,
  backward: backwardReLU,
  explain: explainActivation,
  explainInput: explainInputActivation,
};
