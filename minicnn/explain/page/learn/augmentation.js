// @ts-check
// Layers that change the images of a batch in a random way in training, and layers of noise: see
// learn/changes.js.
import { array, size } from "page/engine/arrays.js";
import { cropped, resized } from "page/engine/sampling.js";
import { sampled, sentBack } from "page/kinds/sampling.js";
import { inTraining, rounded } from "page/learn/changes.js";
import { COLOURS } from "page/learn/colours.js";
import { DETAILS } from "page/learn/details.js";
import { HUES } from "page/learn/hues.js";
import { MIXING } from "page/learn/mixing.js";
import { normal32 } from "page/learn/normal.js";
import { SEQUENCES } from "page/learn/sequences.js";
import { WARPS } from "page/learn/warps.js";

const { fround } = Math;

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
  draw: ({ xs, random }) => xs.map(() => random.random() <= 0.5),
  change: ({ layer, xs, drawn }) => ({
    ys: xs.map((x, n) => (drawn[n] ? flipped(x, layer.config.mode) : x)),
    kept: null,
  }),
  back: ({ layer, dys, drawn }) =>
    dys.map((dy, n) => (drawn[n] ? flipped(dy, layer.config.mode) : dy)),
};

// All images are cut at the same place, or resized if there is nothing to cut.
const RandomCrop = {
  draw({ layer, xs, random }) {
    const to = [layer.config.height, layer.config.width];
    const { shape } = xs[0];
    const most = to.map((n, axis) => shape[axis] - n);
    if (most.some((n) => n <= 0)) return middle(shape, to);
    return cropped(
      most.map((n) => random.integer(n)),
      to,
    );
  },
  change({ xs, drawn }) {
    const ys = xs.map((x) => {
      const y = sampled(drawn, x);
      return rounded(y.shape, y.data);
    });
    return { ys, kept: xs[0].shape };
  },
  back: ({ dys, drawn, kept }) => dys.map((dy) => sentBack(drawn, dy, kept)),
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
  draw: ({ xs, random }) => noises(xs, random),
  change({ layer, xs, drawn }) {
    const stddev = fround(layer.config.stddev);
    const ys = xs.map((x, n) =>
      rounded(
        x.shape,
        Float64Array.from(x.data, (v, i) => v + fround(drawn[n][i] * stddev)),
      ),
    );
    return { ys, kept: null };
  },
  back: ({ dys }) => dys,
};

const GaussianDropout = {
  draw({ layer, xs, random }) {
    const { rate } = layer.config;
    const stddev = fround(Math.sqrt(rate / (1 - rate)));
    return noises(xs, random).map((noise) => noise.map((v) => 1 + fround(v * stddev)));
  },
  change: ({ xs, drawn }) => ({ ys: timesNoise(xs, drawn), kept: null }),
  back: ({ dys, drawn }) => timesNoise(dys, drawn),
};

const CHANGES = {
  ...{ RandomFlip, RandomCrop, GaussianNoise, GaussianDropout },
  ...{ ...WARPS, ...COLOURS, ...HUES, ...DETAILS, ...SEQUENCES, ...MIXING },
};

export const AUGMENTATION = Object.fromEntries(
  Object.entries(CHANGES).map(([name, kind]) => [name, inTraining(kind)]),
);
