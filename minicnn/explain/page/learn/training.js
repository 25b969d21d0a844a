// @ts-check
// Layers that work differently in training: on a whole batch, or with random numbers. `xs` and
// `dys` have an array for each example. A kind here is
//
//   forward({layer, xs, random})         {ys, kept}; batch normalization moves its statistics
//   backward({layer, xs, dys, kept})     {dxs, grads}
import { array, size, unravel } from "page/engine/arrays.js";
import { AUGMENTATION } from "page/learn/augmentation.js";

const rounded = (shape, data) => array(shape, Float32Array.from(data));

// -- dropout --------------------------------------------------------------------------------------

// Which numbers of each example stay. Where the noise has one number along an axis, the numbers of
// that axis share it; without a size it has as many as x.
function masks(xs, { rate, noise_shape: given }, random) {
  const whole = [xs.length, ...xs[0].shape];
  const noise = whole.map((n, axis) => given?.[axis] ?? n);
  const stays = () => (rate < 1 && random.random32() >= rate ? 1 : 0);
  const drawn = Uint8Array.from({ length: size(noise) }, stays);
  const place = (at) => at.reduce((o, i, axis) => o * noise[axis] + (i % noise[axis]), 0);
  return xs.map(({ shape, data }, n) =>
    given
      ? Uint8Array.from(data, (_, o) => drawn[place([n, ...unravel(shape, o)])])
      : drawn.subarray(n * data.length, (n + 1) * data.length),
  );
}

const masked = (xs, kept, change) =>
  xs.map((x, n) =>
    rounded(
      x.shape,
      x.data.map((v, i) => change(v, kept[n][i])),
    ),
  );

// `settingsOf` a layer's config: {rate, noise_shape}.
const dropping = (settingsOf) => ({
  forward({ layer, xs, random }) {
    const settings = settingsOf(layer.config);
    const { rate } = settings;
    const kept = masks(xs, settings, random);
    return { ys: masked(xs, kept, (v, stays) => (stays ? v / (1 - rate) : 0)), kept };
  },
  backward({ layer, dys, kept }) {
    const { rate } = settingsOf(layer.config);
    return { dxs: masked(dys, kept, (v, stays) => (stays ? v / (1 - rate) : 0)), grads: {} };
  },
});

const sharing = (...noise) => dropping(({ rate }) => ({ rate, noise_shape: noise }));

const SATURATED = -1.7580993408473766; // what SELU has far below 0

// a and b: numbers with the mean 0 and the variance 1 keep both.
function factors(rate) {
  const a = ((1 - rate) * (1 + rate * SATURATED ** 2)) ** -0.5;
  return [a, -a * SATURATED * rate];
}

const AlphaDropout = {
  forward({ layer, xs, random }) {
    const [a, b] = factors(layer.config.rate);
    const kept = masks(xs, layer.config, random);
    return { ys: masked(xs, kept, (v, stays) => a * (stays ? v : SATURATED) + b), kept };
  },
  backward({ layer, dys, kept }) {
    const [a] = factors(layer.config.rate);
    return { dxs: masked(dys, kept, (v, stays) => (stays ? a * v : 0)), grads: {} };
  },
};

// -- batch normalization --------------------------------------------------------------------------

function moments(xs) {
  const channels = xs[0].shape.at(-1);
  const count = (xs.length * xs[0].data.length) / channels;
  const mean = new Float64Array(channels);
  const variance = new Float64Array(channels);
  for (const { data } of xs) data.forEach((v, i) => (mean[i % channels] += v / count));
  for (const { data } of xs) {
    data.forEach((v, i) => (variance[i % channels] += (v - mean[i % channels]) ** 2 / count));
  }
  return { channels, count, mean, variance };
}

function moveStatistic(moving, now, momentum) {
  for (let c = 0; c < now.length; c++) {
    moving.data[c] = moving.data[c] * momentum + now[c] * (1 - momentum);
  }
}

const BatchNormalization = {
  forward({ layer, xs }) {
    const { params, config } = layer;
    const kept = moments(xs);
    moveStatistic(params.moving_mean, kept.mean, config.momentum);
    moveStatistic(params.moving_variance, kept.variance, config.momentum);
    kept.inverse = kept.variance.map((v) => 1 / Math.sqrt(v + config.epsilon));
    const gamma = (c) => params.gamma?.data[c] ?? 1;
    const beta = (c) => params.beta?.data[c] ?? 0;
    const one = (v, i) => {
      const c = i % kept.channels;
      return (v - kept.mean[c]) * kept.inverse[c] * gamma(c) + beta(c);
    };
    return { ys: xs.map((x) => rounded(x.shape, Float64Array.from(x.data, one))), kept };
  },

  // dx = gamma / √(variance + ε)·(dy − mean of dy − x̂·mean of dy·x̂)
  backward({ layer, xs, dys, kept }) {
    const { params } = layer;
    const { channels, count, mean, inverse } = kept;
    const dbeta = array([channels]);
    const dgamma = array([channels]);
    const normal = xs.map((x) =>
      Float64Array.from(x.data, (v, i) => (v - mean[i % channels]) * inverse[i % channels]),
    );
    dys.forEach((dy, n) =>
      dy.data.forEach((d, i) => {
        dbeta.data[i % channels] += d;
        dgamma.data[i % channels] += d * normal[n][i];
      }),
    );
    const dxs = dys.map((dy, n) =>
      array(
        dy.shape,
        Float64Array.from(dy.data, (d, i) => {
          const c = i % channels;
          const rest = d - (dbeta.data[c] + normal[n][i] * dgamma.data[c]) / count;
          return (params.gamma?.data[c] ?? 1) * inverse[c] * rest;
        }),
      ),
    );
    const grads = {};
    if (params.gamma) grads.gamma = dgamma;
    if (params.beta) grads.beta = dbeta;
    return { dxs, grads };
  },

  // The part of an example in the gradient of gamma or beta.
  share({ dys, xs, kept, name, offset, n }) {
    let sum = 0;
    for (let i = offset; i < dys[n].data.length; i += kept.channels) {
      const normal = (xs[n].data[i] - kept.mean[offset]) * kept.inverse[offset];
      sum += dys[n].data[i] * (name === "gamma" ? normal : 1);
    }
    return sum;
  },
};

export const IN_TRAINING = {
  ...AUGMENTATION,
  AlphaDropout,
  Dropout: dropping((config) => config),
  SpatialDropout1D: sharing(null, 1, null),
  SpatialDropout2D: sharing(null, 1, 1, null),
  StochasticDepth: dropping(({ drop_path_rate: rate }) => ({ rate, noise_shape: [null, 1, 1, 1] })),
  BatchNormalization,
};
