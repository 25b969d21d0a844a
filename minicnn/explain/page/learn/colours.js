// @ts-check
// Layers that change the colours of each image of a batch in a random way in training. See
// learn/augmentation.js.
import { array } from "page/engine/arrays.js";
import { normal32 } from "page/learn/normal.js";
import { uniforms } from "page/learn/warps.js";

const { fround } = Math;
const GRAY = [0.2989, 0.587, 0.114].map(fround); // how bright red, green and blue are

const rounded = (shape, data) => array(shape, Float32Array.from(data));

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

// -- less colours ---------------------------------------------------------------------------------

// How bright a pixel is whose red has this offset.
const gray = (x, o) => GRAY.reduce((sum, share, c) => sum + share * x.data[o + c], 0);

// `part(n)` says how far an image goes from its colours (0) to gray (1).
const degenerated = (xs, part) =>
  xs.map((x, n) => {
    const data = Float64Array.from(x.data);
    if (part(n)) data.forEach((v, i) => (data[i] = v + part(n) * (gray(x, i - (i % 3)) - v)));
    return array(x.shape, data);
  });

const degeneratedBack = (dys, part) =>
  dys.map((dy, n) => {
    const total = (i) => dy.data[i - (i % 3)] + dy.data[i - (i % 3) + 1] + dy.data[i - (i % 3) + 2];
    const one = (v, i) => (1 - part(n)) * v + part(n) * GRAY[i % 3] * total(i);
    return array(dy.shape, Float64Array.from(dy.data, part(n) ? one : (v) => v));
  });

const RandomGrayscale = {
  forward({ layer, xs, random }) {
    const drawn = xs.map(() => random.random32() < fround(layer.config.factor));
    const kept = drawn.map((turns) => (turns && xs[0].shape[2] === 3 ? 1 : 0));
    const ys = degenerated(xs, (n) => kept[n]).map((y) => rounded(y.shape, y.data));
    return { ys, kept };
  },
  backward: ({ dys, kept }) => ({ dxs: degeneratedBack(dys, (n) => kept[n]), grads: {} }),
};

const RandomColorDegeneration = {
  forward({ layer, xs, random }) {
    const { factor, value_range: range } = layer.config;
    const parts = uniforms(xs, random, factor);
    const zs = degenerated(xs, (n) => parts[n]);
    return { ys: zs.map((z) => clipped(z, range)), kept: { parts, zs } };
  },
  backward({ layer, dys, kept: { parts, zs } }) {
    const dzs = dys.map((dy, n) => inside(dy, zs[n], layer.config.value_range));
    return { dxs: degeneratedBack(dzs, (n) => parts[n]), grads: {} };
  },
};

// -- in some images -------------------------------------------------------------------------------

// Whether each image is to be changed, with a probability that is drawn, too.
function chosen(xs, random, limits) {
  const drawn = xs.map(() => random.random32());
  const least = uniforms(xs, random, limits);
  return drawn.map((v, n) => v < least[n]);
}

const RandomInvert = {
  forward({ layer, xs, random }) {
    const { factor, value_range: range } = layer.config;
    const kept = chosen(xs, random, factor);
    const one = (x) =>
      rounded(
        x.shape,
        x.data.map((v) => fround(range[1]) - v),
      );
    return { ys: xs.map((x, n) => (kept[n] ? one(x) : x)), kept };
  },
  backward({ dys, kept }) {
    const one = (dy) =>
      array(
        dy.shape,
        dy.data.map((v) => -v),
      );
    return { dxs: dys.map((dy, n) => (kept[n] ? one(dy) : dy)), grads: {} };
  },
};

// For each image: whether a row or column of this axis lies in the rectangle to be erased.
function stretches(xs, random, scale, length) {
  const cuts = uniforms(xs, random, scale).map((v) => fround(fround(Math.sqrt(v)) * length));
  const starts = cuts.map((cut) => fround(random.random32() * fround(length - cut)));
  return cuts.map((cut, n) => {
    const end = fround(starts[n] + cut);
    return (place) => place >= starts[n] && place < end;
  });
}

const RandomErasing = {
  forward({ layer, xs, random }) {
    const { factor, scale, fill_value: fill, value_range: range } = layer.config;
    const [height, width, channels] = xs[0].shape;
    const columns = stretches(xs, random, scale, width);
    const rows = stretches(xs, random, scale, height);
    const noise = (x) => Float32Array.from(x.data, () => normal32(random) * fround(range[1]));
    const colour = [fill].flat();
    const flat = (x) => Float32Array.from(x.data, (_, i) => colour[i % colour.length]);
    const fills = xs.map(fill === null ? noise : flat);
    const erased = chosen(xs, random, factor);
    const kept = xs.map((_, n) => (i) => {
      const pixel = Math.floor(i / channels);
      return erased[n] && rows[n](Math.floor(pixel / width)) && columns[n](pixel % width);
    });
    const within = (v) => Math.min(Math.max(v, range[0]), range[1]);
    const ys = xs.map((x, n) =>
      rounded(
        x.shape,
        x.data.map((v, i) => (kept[n](i) ? within(fills[n][i]) : v)),
      ),
    );
    return { ys, kept };
  },
  backward: ({ dys, kept }) => ({
    dxs: dys.map((dy, n) =>
      array(
        dy.shape,
        dy.data.map((v, i) => (kept[n](i) ? 0 : v)),
      ),
    ),
    grads: {},
  }),
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
  forward({ layer, xs, random }) {
    const { factor, value_range: range } = layer.config;
    const parts = uniforms(xs, random, factor).map((f) => fround(1 - fround(2 * f)));
    const zs = xs.map((x, n) => mixed(x, filtered(x, [3, 3], AROUND), parts[n]));
    return { ys: zs.map((z) => clipped(z, range)), kept: { parts, zs } };
  },
  backward({ layer, dys, kept: { parts, zs } }) {
    const dxs = dys.map((dy, n) => {
      const dz = inside(dy, zs[n], layer.config.value_range);
      return mixed(dz, filtered(dz, [3, 3], AROUND), parts[n]);
    });
    return { dxs, grads: {} };
  },
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
  forward({ layer, xs, random }) {
    const { factor, sigma, kernel_size: sizes, value_range: range } = layer.config;
    const blurs = chosen(xs, random, factor);
    const [along, down] = uniforms([0, 1], random, sigma).map((s, k) =>
      bell(sizes[k], fround(s + fround(1e-6))),
    );
    const window = down.flatMap((a) => along.map((b) => fround(a * b)));
    const zs = xs.map((x, n) => (blurs[n] ? filtered(x, sizes, window) : x));
    return { ys: zs.map((z) => clipped(z, range)), kept: { blurs, window, zs } };
  },
  backward({ layer, dys, kept: { blurs, window, zs } }) {
    const { kernel_size: sizes, value_range: range } = layer.config;
    const dxs = dys.map((dy, n) => {
      const dz = inside(dy, zs[n], range);
      return blurs[n] ? filtered(dz, sizes, window) : dz;
    });
    return { dxs, grads: {} };
  },
};

export const COLOURING = {
  RandomSharpness,
  RandomGaussianBlur,
  RandomContrast,
  RandomBrightness,
  RandomGrayscale,
  RandomColorDegeneration,
  RandomInvert,
  RandomErasing,
};
