// @ts-check
// Random changes of details: erased rectangles, sharpness, blur. See learn/changes.js.
import { array } from "page/engine/arrays.js";
import {
  chosen,
  clipped,
  inside,
  rounded,
  stretches,
  uniforms,
  within,
} from "page/learn/changes.js";
import { normal32 } from "page/learn/normal.js";

const { fround } = Math;

const RandomErasing = {
  draw({ layer, xs, random }) {
    const { factor, scale, fill_value: fill, value_range: range } = layer.config;
    const { shape } = xs[0];
    const [columns, rows] = [shape[1], shape[0]].map((length) => {
      const cuts = uniforms(xs, random, scale).map((v) => fround(fround(Math.sqrt(v)) * length));
      return stretches(cuts, random, length);
    });
    const noise = (x) => Float32Array.from(x.data, () => normal32(random) * fround(range[1]));
    const colour = [fill].flat();
    const flat = (x) => Float32Array.from(x.data, (_, i) => colour[i % colour.length]);
    const fills = xs.map(fill === null ? noise : flat);
    const erased = chosen(xs, random, factor);
    const places = xs.map((_, n) => (erased[n] ? within(shape, rows[n], columns[n]) : () => false));
    return { fills, places };
  },
  change({ layer, xs, drawn: { fills, places } }) {
    const [low, high] = layer.config.value_range;
    const fill = (v) => Math.min(Math.max(v, low), high);
    const ys = xs.map((x, n) =>
      rounded(
        x.shape,
        x.data.map((v, i) => (places[n](i) ? fill(fills[n][i]) : v)),
      ),
    );
    return { ys, kept: null };
  },
  back: ({ dys, drawn: { places } }) =>
    dys.map((dy, n) =>
      array(
        dy.shape,
        dy.data.map((v, i) => (places[n](i) ? 0 : v)),
      ),
    ),
};

// -- sharper, or blurred --------------------------------------------------------------------------

// The same window over each channel, and zeros around the image; the gradient of x is that of y,
// filtered: the windows here are their own mirror images.
function filtered(x, [kh, kw], window) {
  const [height, width, channels] = x.shape;
  const y = array(x.shape, new Float64Array(x.data.length));
  const from = (i, j) => (i * width + j) * channels;
  for (let k = 0; k < window.length; k++) {
    const [down, right] = [Math.floor(k / kw) - (kh >> 1), (k % kw) - (kw >> 1)];
    for (let i = Math.max(0, -down); i < Math.min(height, height - down); i++) {
      for (let j = Math.max(0, -right); j < Math.min(width, width - right); j++) {
        const [to, start] = [from(i, j), from(i + down, j + right)];
        for (let c = 0; c < channels; c++) y.data[to + c] += window[k] * x.data[start + c];
      }
    }
  }
  return y;
}

const AROUND = [1, 1, 1, 1, 5, 1, 1, 1, 1].map((v) => fround(v / 13));

// x and, to a part, what its filter makes of it.
const mixed = (x, other, part) =>
  array(
    x.shape,
    Float64Array.from(x.data, (v, i) => v + part * (other.data[i] - v)),
  );

const RandomSharpness = {
  draw: ({ layer, xs, random }) =>
    uniforms(xs, random, layer.config.factor).map((f) => fround(1 - fround(2 * f))),
  change({ layer, xs, drawn }) {
    const zs = xs.map((x, n) => mixed(x, filtered(x, [3, 3], AROUND), drawn[n]));
    return { ys: zs.map((z) => clipped(z, layer.config.value_range)), kept: zs };
  },
  back: ({ layer, dys, drawn, kept }) =>
    dys.map((dy, n) => {
      const dz = inside(dy, kept[n], layer.config.value_range);
      return mixed(dz, filtered(dz, [3, 3], AROUND), drawn[n]);
    }),
};

// The weights of a line of a Gaussian, whose sum is 1.
function bell(length, sigma) {
  const g = Array.from({ length }, (_, i) =>
    Math.exp(-0.5 * ((i - (length - 1) / 2) / sigma) ** 2),
  );
  const sum = g.reduce((a, b) => a + b);
  return g.map((v) => v / sum);
}

const RandomGaussianBlur = {
  draw({ layer, xs, random }) {
    const { factor, sigma, kernel_size: sizes } = layer.config;
    const blurs = chosen(xs, random, factor);
    const [along, down] = uniforms([0, 1], random, sigma).map((s, k) =>
      bell(sizes[k], fround(s + fround(1e-6))),
    );
    return { blurs, window: down.flatMap((a) => along.map((b) => fround(a * b))) };
  },
  change({ layer, xs, drawn: { blurs, window } }) {
    const { kernel_size: sizes, value_range: range } = layer.config;
    const zs = xs.map((x, n) => (blurs[n] ? filtered(x, sizes, window) : x));
    return { ys: zs.map((z) => clipped(z, range)), kept: zs };
  },
  back: ({ layer, dys, drawn: { blurs, window }, kept }) =>
    dys.map((dy, n) => {
      const dz = inside(dy, kept[n], layer.config.value_range);
      return blurs[n] ? filtered(dz, layer.config.kernel_size, window) : dz;
    }),
};

export const DETAILS = { RandomErasing, RandomSharpness, RandomGaussianBlur };
