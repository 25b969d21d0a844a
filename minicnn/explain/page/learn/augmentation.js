// @ts-check
// Layers that change each image of a batch in a random way in training, and layers of noise: they
// draw as minicnn does, from the same generator, in the same order. See learn/training.js.
import { array, size } from "page/engine/arrays.js";
import { cropped, resized } from "page/engine/sampling.js";
import { sampled, sentBack } from "page/kinds/sampling.js";
import { COLOURING } from "page/learn/colours.js";
import { normal32 } from "page/learn/normal.js";
import { taps, warpOf } from "page/learn/warps.js";

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

// All images are cut at the same place, or resized if there is nothing to cut.
const RandomCrop = {
  forward({ layer, xs, random }) {
    const to = [layer.config.height, layer.config.width];
    const { shape } = xs[0];
    const most = to.map((n, axis) => shape[axis] - n);
    const where = most.every((n) => n > 0)
      ? cropped(
          most.map((n) => random.integer(n)),
          to,
        )
      : middle(shape, to);
    const ys = xs.map((x) => {
      const y = sampled(where, x);
      return rounded(y.shape, y.data);
    });
    return { ys, kept: { where, shape } };
  },
  backward: ({ dys, kept: { where, shape } }) => ({
    dxs: dys.map((dy) => sentBack(where, dy, shape)),
    grads: {},
  }),
};

// An image that is not larger in both directions is cut in its middle where it is, and resized.
function middle(shape, to) {
  const other = [(shape[1] * to[0]) / to[1], (shape[0] * to[1]) / to[0]];
  const start = other.map((n, axis) => {
    const part = Math.max(Math.min(shape[axis], Math.trunc(n)), 1);
    return (shape[axis] - part) >> 1;
  });
  const part = start.map((before, axis) => Math.min(to[axis], shape[axis] - before));
  const { rows, columns } = resized(part, to, {});
  const moved = (lists, by) => lists.map((list) => list.map(([place, w]) => [place + by, w]));
  return { rows: moved(rows, start[0]), columns: moved(columns, start[1]), fill: 0 };
}

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
  ...COLOURING,
  GaussianNoise,
  GaussianDropout,
};
