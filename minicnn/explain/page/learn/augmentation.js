// @ts-check
// Layers that change each image of a batch in a random way in training, and layers of noise: they
// draw as minicnn does, from the same generator, in the same order. See learn/training.js.
import { array, size } from "page/engine/arrays.js";
import { normal32 } from "page/learn/normal.js";
import { taps, uniforms, warpOf } from "page/learn/warps.js";

const { fround } = Math;
const rounded = (shape, data) => array(shape, Float32Array.from(data));

// -- moved ----------------------------------------------------------------------------------------

function flipped(x, mode) {
  const [height, width, channels] = x.shape;
  const y = array(x.shape);
  for (let i = 0; i < height; i++) {
    const row = mode.includes("vertical") ? height - 1 - i : i;
    for (let j = 0; j < width; j++) {
      const column = mode.includes("horizontal") ? width - 1 - j : j;
      const from = (row * width + column) * channels;
      const to = (i * width + j) * channels;
      for (let c = 0; c < channels; c++) y.data[to + c] = x.data[from + c];
    }
  }
  return y;
}

const RandomFlip = {
  forward({ layer, xs, random }) {
    const kept = xs.map(() => random.random() <= 0.5);
    return { ys: xs.map((x, n) => (kept[n] ? flipped(x, layer.config.mode) : x)), kept };
  },
  backward: ({ layer, dys, kept }) => ({
    dxs: dys.map((dy, n) => (kept[n] ? flipped(dy, layer.config.mode) : dy)),
    grads: {},
  }),
};

// y[i, j] is the weighted sum of the pixels of x that its taps name.
const Warping = {
  forward({ layer, xs, random }) {
    const { config } = layer;
    const kept = warpOf(layer, xs, random);
    const ys = xs.map((x, n) => {
      const y = array(x.shape);
      const channels = x.shape[2];
      taps(x.shape, kept[n], config, (to, from, weight) => {
        for (let c = 0; c < channels; c++) {
          y.data[to + c] += weight * (from < 0 ? config.fill_value : x.data[from + c]);
        }
      });
      return rounded(y.shape, y.data);
    });
    return { ys, kept };
  },
  backward({ layer, dys, kept }) {
    const dxs = dys.map((dy, n) => {
      const dx = array(dy.shape);
      taps(dy.shape, kept[n], layer.config, (to, from, weight) => {
        if (from < 0) return;
        for (let c = 0; c < dy.shape[2]; c++) dx.data[from + c] += weight * dy.data[to + c];
      });
      return dx;
    });
    return { dxs, grads: {} };
  },
};

// All images are cut at the same place.
const RandomCrop = {
  forward({ layer, xs, random }) {
    const { height, width } = layer.config;
    const [rows, columns, channels] = xs[0].shape;
    const [top, left] = [rows - height, columns - width].map((most) => random.integer(most));
    const from = (i, j) => ((i + top) * columns + j + left) * channels;
    const ys = xs.map((x) => {
      const y = array([height, width, channels]);
      for (let i = 0; i < height; i++) {
        const line = x.data.subarray(from(i, 0), from(i, width));
        y.data.set(line, i * width * channels);
      }
      return y;
    });
    return { ys, kept: { from, shape: xs[0].shape } };
  },
  backward({ dys, kept: { from, shape } }) {
    const dxs = dys.map((dy) => {
      const [height, width, channels] = dy.shape;
      const dx = array(shape);
      for (let i = 0; i < height; i++) {
        dx.data.set(dy.data.subarray(i * width * channels, (i + 1) * width * channels), from(i, 0));
      }
      return dx;
    });
    return { dxs, grads: {} };
  },
};

// -- coloured -------------------------------------------------------------------------------------

const clipped = (z, [low, high]) =>
  rounded(
    z.shape,
    z.data.map((v) => Math.min(Math.max(v, low), high)),
  );

const inside = (dy, z, [low, high]) =>
  array(
    dy.shape,
    Float64Array.from(dy.data, (v, i) => (z.data[i] >= low && z.data[i] <= high ? v : 0)),
  );

// The mean of each channel.
function means(x) {
  const channels = x.shape[2];
  const mean = new Float64Array(channels);
  x.data.forEach((v, i) => (mean[i % channels] += (v * channels) / x.data.length));
  return mean;
}

const RandomContrast = {
  forward({ layer, xs, random }) {
    const [lower, upper] = layer.config.factor;
    const factors = uniforms(xs, random, [1 - lower, 1 + upper]);
    const zs = xs.map((x, n) => {
      const mean = means(x);
      const one = (v, i) => (v - mean[i % mean.length]) * factors[n] + mean[i % mean.length];
      return rounded(x.shape, Float64Array.from(x.data, one));
    });
    const ys = zs.map((z) => clipped(z, layer.config.value_range));
    return { ys, kept: { factors, zs } };
  },
  backward({ layer, dys, kept: { factors, zs } }) {
    const dxs = dys.map((dy, n) => {
      const dz = inside(dy, zs[n], layer.config.value_range);
      const mean = means(dz);
      const one = (v, i) => v * factors[n] + (1 - factors[n]) * mean[i % mean.length];
      return array(dy.shape, Float64Array.from(dz.data, one));
    });
    return { dxs, grads: {} };
  },
};

const RandomBrightness = {
  forward({ layer, xs, random }) {
    const { factor, value_range: range } = layer.config;
    const more = uniforms(xs, random, factor).map((u) => fround(u * fround(range[1] - range[0])));
    const zs = xs.map((x, n) =>
      rounded(
        x.shape,
        x.data.map((v) => v + more[n]),
      ),
    );
    return { ys: zs.map((z) => clipped(z, range)), kept: zs };
  },
  backward: ({ layer, dys, kept }) => ({
    dxs: dys.map((dy, n) => inside(dy, kept[n], layer.config.value_range)),
    grads: {},
  }),
};

// -- noise ----------------------------------------------------------------------------------------

const noises = (xs, random) =>
  xs.map((x) => Float32Array.from({ length: size(x.shape) }, () => normal32(random)));

const timesNoise = (xs, kept) =>
  xs.map((x, n) =>
    rounded(
      x.shape,
      Float64Array.from(x.data, (v, i) => v * kept[n][i]),
    ),
  );

const GaussianNoise = {
  forward({ layer, xs, random }) {
    const stddev = fround(layer.config.stddev);
    const noise = noises(xs, random);
    const ys = xs.map((x, n) =>
      rounded(
        x.shape,
        Float64Array.from(x.data, (v, i) => v + fround(noise[n][i] * stddev)),
      ),
    );
    return { ys, kept: null };
  },
  backward: ({ dys }) => ({ dxs: dys, grads: {} }),
};

const GaussianDropout = {
  forward({ layer, xs, random }) {
    const { rate } = layer.config;
    const stddev = fround(Math.sqrt(rate / (1 - rate)));
    const kept = noises(xs, random).map((noise) => noise.map((v) => 1 + fround(v * stddev)));
    return { ys: timesNoise(xs, kept), kept };
  },
  backward: ({ dys, kept }) => ({ dxs: timesNoise(dys, kept), grads: {} }),
};

export const AUGMENTATION = {
  RandomFlip,
  RandomRotation: Warping,
  RandomTranslation: Warping,
  RandomZoom: Warping,
  RandomShear: Warping,
  RandomCrop,
  RandomContrast,
  RandomBrightness,
  GaussianNoise,
  GaussianDropout,
};
