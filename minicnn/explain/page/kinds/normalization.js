// @ts-check
// Layers that scale and shift each channel.
import { array, biasGradient, map, offsetOf, unravel } from "page/engine/arrays.js";
import { short, signed } from "page/explain/terms.js";
import { words } from "page/words.js";

const perChannel = (v, n) => (Array.isArray(v) ? v : new Array(n).fill(v));

// {scale, shift, mean, variance, …} of each channel, as inference uses them.
function normalization(layer, channel) {
  const p = layer.params;
  const at = (name, otherwise) => (p[name] ? p[name].data[channel] : otherwise);
  const inverse = 1 / Math.sqrt(at("moving_variance") + layer.config.epsilon);
  return {
    gamma: at("gamma", 1),
    beta: at("beta", 0),
    mean: at("moving_mean"),
    variance: at("moving_variance"),
    inverse,
  };
}

function forwardNormalization({ layer, x }) {
  const n = x.shape.at(-1);
  const per = Array.from({ length: n }, (_, k) => normalization(layer, k));
  return {
    y: map(x, (v, i) => {
      const s = per[i % n];
      return (v - s.mean) * s.inverse * s.gamma + s.beta;
    }),
  };
}

function forwardRescaling({ x, c }) {
  const n = x.shape.at(-1);
  const scale = perChannel(c.scale, n);
  const offset = perChannel(c.offset, n);
  return { y: map(x, (v, i) => v * scale[i % n] + offset[i % n]) };
}

function backwardNormalization({ layer, x, p, dy }) {
  const grads = {};
  const n = x.shape.at(-1);
  const per = Array.from({ length: n }, (_, k) => normalization(layer, k));
  if (p.gamma) grads.gamma = array([n]);
  if (p.beta) grads.beta = biasGradient(dy);
  const dx = map(dy, (d, i) => {
    const s = per[i % n];
    if (p.gamma) grads.gamma.data[i % n] += d * (x.data[i] - s.mean) * s.inverse;
    return d * s.gamma * s.inverse;
  });
  return { dxs: [dx], grads };
}

function backwardRescaling({ x, c, dy }) {
  const n = x.shape.at(-1);
  const scale = perChannel(c.scale, n);
  return { dxs: [map(dy, (d, i) => d * scale[i % n])], grads: {} };
}

function explainNormalization({ layer, x, at, last }) {
  const s = normalization(layer, last);
  const input = x.data[offsetOf(x.shape, at)];
  const centred = input - s.mean;
  const scaled = centred * s.inverse;
  return {
    form: "steps",
    value: scaled * s.gamma + s.beta,
    total: scaled * s.gamma + s.beta,
    lines: [
      ["x", words("steps.comes_in"), input],
      [
        words("steps.minus_mean"),
        words(x.shape.length === 3 ? "steps.moving_mean_map" : "steps.moving_mean_number", {
          mean: signed(s.mean),
        }),
        centred,
      ],
      [
        words("steps.variance"),
        `÷ √(${short(s.variance)} + ${layer.config.epsilon}) = ÷ ${short(1 / s.inverse)}`,
        scaled,
      ],
      ["× gamma", words("steps.learned_gamma", { v: signed(s.gamma) }), scaled * s.gamma],
      ["+ beta", words("steps.learned_beta", { v: signed(s.beta) }), scaled * s.gamma + s.beta],
    ],
  };
}

function explainRescaling({ x, at, last, c }) {
  const input = x.data[offsetOf(x.shape, at)];
  const pick = (v) => (Array.isArray(v) ? v[last] : v);
  const scale = pick(c.scale);
  const shift = pick(c.offset);
  const value = input * scale + shift;
  return {
    form: "steps",
    value,
    total: value,
    lines: [
      ["x", words("steps.comes_in"), input],
      [words("steps.scale"), `× ${short(scale)}`, input * scale],
      [words("steps.offset"), `+ ${signed(shift)}`, value],
    ],
  };
}

function explainInputNormalization({ layer, at, k, dy }) {
  const s = normalization(layer, k);
  const d = dy.data[offsetOf(dy.shape, at)];
  return {
    form: "steps",
    total: d * s.gamma * s.inverse,
    lines: [
      ["dy", words("steps.gradient_here"), d],
      ["× gamma", `× ${short(s.gamma)}`, d * s.gamma],
      [words("steps.variance"), `÷ ${short(1 / s.inverse)}`, d * s.gamma * s.inverse],
    ],
  };
}

function explainInputRescaling({ at, k, dy, c }) {
  const scale = Array.isArray(c.scale) ? c.scale[k] : c.scale;
  const d = dy.data[offsetOf(dy.shape, at)];
  return {
    form: "steps",
    total: d * scale,
    lines: [
      ["dy", words("steps.gradient_here"), d],
      [words("steps.scale"), `× ${short(scale)}`, d * scale],
    ],
  };
}

// The mean or the variance that counts for a place: there is one for each place along the axes.
function statistic({ config, params }, name, at) {
  const axes = config.axis.map((a) => (a < 0 ? a + at.length : a - 1)).sort((a, b) => a - b);
  const place = axes.map((axis) => at[axis]);
  let found = config[name];
  if (found === null) return params[name].data[offsetOf(params[name].shape, place)];
  let depth = 0;
  for (let inner = found; Array.isArray(inner); inner = inner[0]) depth++;
  for (const i of place.slice(place.length - depth)) found = found[found.length === 1 ? 0 : i];
  return found;
}

function statistics(layer, at) {
  const mean = statistic(layer, "mean", at);
  const variance = statistic(layer, "variance", at);
  return { mean, variance, deviation: Math.max(Math.sqrt(variance), 1e-7) };
}

function forwardByStatistics({ layer, x, c }) {
  return {
    y: map(x, (v, i) => {
      const { mean, deviation } = statistics(layer, unravel(x.shape, i));
      return c.invert ? v * deviation + mean : (v - mean) / deviation;
    }),
  };
}

function backwardByStatistics({ layer, c, dy }) {
  const dx = map(dy, (d, i) => {
    const { deviation } = statistics(layer, unravel(dy.shape, i));
    return c.invert ? d * deviation : d / deviation;
  });
  return { dxs: [dx], grads: {} };
}

function explainByStatistics({ layer, x, at, c }) {
  const { mean, variance, deviation } = statistics(layer, at);
  const input = x.data[offsetOf(x.shape, at)];
  const value = c.invert ? input * deviation + mean : (input - mean) / deviation;
  const root = `√(${short(variance)}) = ${short(deviation)}`;
  const lines = c.invert
    ? [
        ["x", words("steps.comes_in"), input],
        [words("steps.times_deviation"), `× ${root}`, input * deviation],
        [words("steps.plus_mean"), `+ ${signed(mean)}`, value],
      ]
    : [
        ["x", words("steps.comes_in"), input],
        [words("steps.minus_mean"), words("steps.data_mean", { mean: signed(mean) }), input - mean],
        [words("steps.by_deviation"), `÷ ${root}`, value],
      ];
  return { form: "steps", value, total: value, lines };
}

function explainInputByStatistics({ layer, at, dy, c }) {
  const { deviation } = statistics(layer, at);
  const d = dy.data[offsetOf(dy.shape, at)];
  const total = c.invert ? d * deviation : d / deviation;
  const sign = c.invert ? "×" : "÷";
  return {
    form: "steps",
    total,
    lines: [
      ["dy", words("steps.gradient_here"), d],
      [words("steps.deviation", { sign }), `${sign} ${short(deviation)}`, total],
    ],
  };
}

function gammaWeight({ layer, x, dy, units, last, n, add, width }) {
  const s = normalization(layer, last);
  for (let o = 0; o < n; o++) {
    const input = (x.data[o * units + last] - s.mean) * s.inverse;
    add(o, input, dy.data[o * units + last], Math.floor(o / width), o % width);
  }
}

function betaWeight({ dy, units, last, n, add, width }) {
  for (let o = 0; o < n; o++) {
    add(o, 1, dy.data[o * units + last], Math.floor(o / width), o % width);
  }
}

export const BatchNormalization = {
  forward: forwardNormalization,
  backward: backwardNormalization,
  explain: explainNormalization,
  explainInput: explainInputNormalization,
  weights: { gamma: gammaWeight, beta: betaWeight },
};

export const Normalization = {
  forward: forwardByStatistics,
  backward: backwardByStatistics,
  explain: explainByStatistics,
  explainInput: explainInputByStatistics,
};

export const Rescaling = {
  forward: forwardRescaling,
  backward: backwardRescaling,
  explain: explainRescaling,
  explainInput: explainInputRescaling,
};
