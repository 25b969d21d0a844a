// @ts-check
// Layers that work differently in training: on a whole batch, or with random numbers. `xs` and
// `dys` have an array for each example. A kind here is
//
//   forward({layer, xs, random})         {ys, kept}; batch normalization moves its statistics
//   backward({layer, xs, dys, kept})     {dxs, grads}
import { array, size } from "page/engine/arrays.js";
import { AUGMENTATION } from "page/learn/augmentation.js";

const rounded = (shape, data) => array(shape, Float32Array.from(data));

// -- dropout --------------------------------------------------------------------------------------

// Which numbers of an example stay; `each` says how many numbers share one draw.
function masks(xs, rate, draws, random, place) {
  return xs.map((x) => {
    const kept = Uint8Array.from({ length: draws(x) }, () => (random.random32() >= rate ? 1 : 0));
    return Uint8Array.from(x.data, (_, i) => kept[place(x, i)]);
  });
}

const masked = (xs, kept, rate) =>
  xs.map((x, n) =>
    rounded(
      x.shape,
      x.data.map((v, i) => (kept[n][i] ? v / (1 - rate) : 0)),
    ),
  );

const dropping = (draws, place) => ({
  forward({ layer, xs, random }) {
    const { rate } = layer.config;
    const kept = masks(xs, rate, draws, random, place);
    return { ys: masked(xs, kept, rate), kept };
  },
  backward: ({ layer, dys, kept }) => ({ dxs: masked(dys, kept, layer.config.rate), grads: {} }),
});

const Dropout = dropping(
  (x) => size(x.shape),
  (x, i) => i,
);
const SpatialDropout = dropping(
  (x) => x.shape.at(-1),
  (x, i) => i % x.shape.at(-1),
);

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
  Dropout,
  SpatialDropout1D: SpatialDropout,
  SpatialDropout2D: SpatialDropout,
  BatchNormalization,
};
