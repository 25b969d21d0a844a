// @ts-check
// Activations of one number: y from z, and the slope dy/dz, which gets z and y.
import { words } from "page/words.js";

const sigmoid = (v) => (v >= 0 ? 1 / (1 + Math.exp(-v)) : Math.exp(v) / (1 + Math.exp(v)));
const softplus = (v) => Math.max(v, 0) + Math.log1p(Math.exp(-Math.abs(v)));
const clip = (v, low, high) => Math.min(Math.max(v, low), high);

const SELU_ALPHA = 1.6732632423543772;
const SELU_SCALE = 1.0507009873554805;

// The error function: its power series near 0, a continued fraction beyond.
function erf(v) {
  const a = Math.abs(v);
  if (a < 2.5) {
    let term = v;
    let sum = v;
    for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) {
      term *= (-v * v) / n;
      sum += term / (2 * n + 1);
    }
    return (2 / Math.sqrt(Math.PI)) * sum;
  }
  let fraction = 0;
  for (let n = 60; n > 0; n--) fraction = n / 2 / (a + fraction);
  const rest = Math.exp(-a * a) / Math.sqrt(Math.PI) / (a + fraction);
  return Math.sign(v) * (1 - rest);
}

const below = (z) => (1 + erf(z / Math.SQRT2)) / 2;
const density = (z) => Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI);
const hardSigmoid = (z) => clip(z + 3, 0, 6) / 6;

export const leakyRelu = (slope) => ({
  y: (z) => (z > 0 ? z : slope * z),
  slope: (z) => (z > 0 ? 1 : slope),
  corners: [0],
  text: (v) => words("curve.leaky", { v, slope }),
});

export const elu = (alpha) => ({
  y: (z) => (z > 0 ? z : alpha * Math.expm1(z)),
  slope: (z) => (z > 0 ? 1 : alpha * Math.exp(z)),
  text: (v) => words("curve.elu", { v, alpha }),
  ofInput: true,
});

// A curve's formula of this variable. `text` is a formula of z, or a function if it has words.
export const textOf = ({ text }, variable = "z") =>
  typeof text === "function" ? text(variable) : text.replaceAll(/\bz\b/g, variable);

function reluText(v, low, leak, top) {
  const from = low ? `(${v} − ${low})` : v;
  const under = leak
    ? words("curve.relu_below", { part: `${leak} · ${from}` })
    : words("curve.relu_zero");
  const most = top < Infinity ? words("curve.relu_most", { top }) : "";
  return words("curve.relu", { v, low, under, most });
}

// The three corners of a ReLU layer.
export function reluOf(config) {
  const top = config.max_value ?? Infinity;
  const low = config.threshold ?? 0;
  const leak = config.negative_slope ?? 0;
  const plain = top < Infinity ? `min(max(z, 0), ${top})` : "max(z, 0)";
  return {
    y: (x) => (x >= top ? top : x > low ? x : leak * (x - low)),
    slope: (x) => (x >= top ? 0 : x > low ? 1 : leak),
    corners: [low, ...(top < Infinity ? [top] : [])],
    text: !leak && !low ? plain : (v) => reluText(v, low, leak, top),
    ofInput: true,
  };
}

// `ofInput`: the slope needs z; the others' shows in y, too.
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
  exponential: { y: Math.exp, slope: (z, y) => y, text: "e^z" },
  leaky_relu: leakyRelu(0.2),
  elu: elu(1),
  celu: elu(1),
  selu: {
    y: (z) => SELU_SCALE * (z > 0 ? z : SELU_ALPHA * Math.expm1(z)),
    slope: (z) => SELU_SCALE * (z >= 0 ? 1 : SELU_ALPHA * Math.exp(z)),
    text: (v) => words("curve.selu", { v }),
    ofInput: true,
  },
  silu: {
    y: (z) => z * sigmoid(z),
    slope: (z) => sigmoid(z) * (1 + z * (1 - sigmoid(z))),
    text: "z / (1 + e^−z)",
    ofInput: true,
  },
  gelu: {
    y: (z) => z * below(z),
    slope: (z) => below(z) + z * density(z),
    text: (v) => words("curve.gelu", { v }),
    ofInput: true,
  },
  softplus: { y: softplus, slope: sigmoid, text: "log(1 + e^z)", ofInput: true },
  log_sigmoid: {
    y: (z) => -softplus(-z),
    slope: (z) => sigmoid(-z),
    text: "−log(1 + e^−z)",
    ofInput: true,
  },
  softsign: {
    y: (z) => z / (1 + Math.abs(z)),
    slope: (z) => 1 / (1 + Math.abs(z)) ** 2,
    text: "z / (1 + |z|)",
    ofInput: true,
  },
  mish: {
    y: (z) => z * Math.tanh(softplus(z)),
    slope: (z) => {
      const t = Math.tanh(softplus(z));
      return t + z * (1 - t * t) * sigmoid(z);
    },
    text: "z · tanh(log(1 + e^z))",
    ofInput: true,
  },
  squareplus: {
    y: (z) => (z + Math.sqrt(z * z + 4)) / 2,
    slope: (z) => (1 + z / Math.sqrt(z * z + 4)) / 2,
    text: "(z + √(z² + 4)) / 2",
    ofInput: true,
  },
  hard_sigmoid: {
    y: hardSigmoid,
    slope: (z) => (z > -3 && z < 3 ? 1 / 6 : 0),
    text: "min(max(z + 3, 0), 6) / 6",
    corners: [-3, 3],
    ofInput: true,
  },
  // That of Keras 1 and 2, in models from their files.
  "hard_sigmoid(slope=0.2)": {
    y: (z) => clip(0.2 * z + 0.5, 0, 1),
    slope: (z) => (z > -2.5 && z < 2.5 ? 0.2 : 0),
    text: "min(max(0.2 · z + 0.5, 0), 1)",
    corners: [-2.5, 2.5],
    ofInput: true,
  },
  hard_silu: {
    y: (z) => z * hardSigmoid(z),
    slope: (z) => hardSigmoid(z) + (z > -3 && z < 3 ? z / 6 : 0),
    text: "z · min(max(z + 3, 0), 6) / 6",
    corners: [-3, 3],
    ofInput: true,
  },
  hard_tanh: {
    y: (z) => clip(z, -1, 1),
    slope: (z) => (z >= -1 && z <= 1 ? 1 : 0),
    text: "min(max(z, −1), 1)",
    corners: [-1, 1],
    ofInput: true,
  },
  hard_shrink: {
    y: (z) => (Math.abs(z) > 0.5 ? z : 0),
    slope: (z) => (Math.abs(z) > 0.5 ? 1 : 0),
    text: (v) => words("curve.hard_shrink", { v }),
    corners: [-0.5, 0.5],
    ofInput: true,
  },
  soft_shrink: {
    y: (z) => Math.sign(z) * Math.max(Math.abs(z) - 0.5, 0),
    slope: (z) => (Math.abs(z) > 0.5 ? 1 : 0),
    text: (v) => words("curve.soft_shrink", { v }),
    corners: [-0.5, 0.5],
    ofInput: true,
  },
  tanh_shrink: {
    y: (z) => z - Math.tanh(z),
    slope: (z) => Math.tanh(z) ** 2,
    text: "z − tanh(z)",
    ofInput: true,
  },
  sparse_plus: {
    y: (z) => (z <= -1 ? 0 : z < 1 ? (z + 1) ** 2 / 4 : z),
    slope: (z) => (clip(z, -1, 1) + 1) / 2,
    text: (v) => words("curve.sparse_plus", { v }),
    corners: [-1, 1],
    ofInput: true,
  },
  sparse_sigmoid: {
    y: (z) => (clip(z, -1, 1) + 1) / 2,
    slope: (z) => (z > -1 && z < 1 ? 0.5 : 0),
    text: (v) => words("curve.sparse_sigmoid", { v }),
    corners: [-1, 1],
    ofInput: true,
  },
};
