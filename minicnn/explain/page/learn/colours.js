// @ts-check
// Random changes of the colours of each image of a batch: see learn/changes.js.
import { array } from "page/engine/arrays.js";
import { chosen, clipped, inside, rounded, stretch, uniforms } from "page/learn/changes.js";

const { fround } = Math;
const GRAY = [0.2989, 0.587, 0.114].map(fround); // how bright red, green and blue are
const BYTES = [0, 255];

// The mean of each channel.
function means(x) {
  const channels = x.shape[2];
  const mean = new Float64Array(channels);
  x.data.forEach((v, i) => (mean[i % channels] += (v * channels) / x.data.length));
  return mean;
}

const RandomContrast = {
  draw({ layer, xs, random }) {
    const [lower, upper] = layer.config.factor;
    return uniforms(xs, random, [1 - lower, 1 + upper]);
  },
  change({ layer, xs, drawn }) {
    const zs = xs.map((x, n) => {
      const mean = means(x);
      const one = (v, i) => (v - mean[i % mean.length]) * drawn[n] + mean[i % mean.length];
      return rounded(x.shape, Float64Array.from(x.data, one));
    });
    return { ys: zs.map((z) => clipped(z, layer.config.value_range)), kept: zs };
  },
  back: ({ layer, dys, drawn, kept }) =>
    dys.map((dy, n) => {
      const dz = inside(dy, kept[n], layer.config.value_range);
      const mean = means(dz);
      const one = (v, i) => v * drawn[n] + (1 - drawn[n]) * mean[i % mean.length];
      return array(dy.shape, Float64Array.from(dz.data, one));
    }),
};

const RandomBrightness = {
  draw({ layer, xs, random }) {
    const { factor, value_range: range } = layer.config;
    return uniforms(xs, random, factor).map((u) => fround(u * fround(range[1] - range[0])));
  },
  change({ layer, xs, drawn }) {
    const zs = xs.map((x, n) =>
      rounded(
        x.shape,
        x.data.map((v) => v + drawn[n]),
      ),
    );
    return { ys: zs.map((z) => clipped(z, layer.config.value_range)), kept: zs };
  },
  back: ({ layer, dys, kept }) => dys.map((dy, n) => inside(dy, kept[n], layer.config.value_range)),
};

// -- less colours ---------------------------------------------------------------------------------

// How bright a pixel is whose red has this offset.
const gray = (x, o) => GRAY.reduce((sum, share, c) => sum + share * x.data[o + c], 0);

// `parts` say how far each image goes from its colours (0) to gray (1).
const degenerated = (xs, parts) =>
  xs.map((x, n) => {
    const data = Float64Array.from(x.data);
    if (parts[n]) data.forEach((v, i) => (data[i] = v + parts[n] * (gray(x, i - (i % 3)) - v)));
    return array(x.shape, data);
  });

const degeneratedBack = (dys, parts) =>
  dys.map((dy, n) => {
    const total = (i) => dy.data[i - (i % 3)] + dy.data[i - (i % 3) + 1] + dy.data[i - (i % 3) + 2];
    const one = (v, i) => (1 - parts[n]) * v + parts[n] * GRAY[i % 3] * total(i);
    return array(dy.shape, Float64Array.from(dy.data, parts[n] ? one : (v) => v));
  });

const RandomGrayscale = {
  draw({ layer, xs, random }) {
    const drawn = xs.map(() => random.random32() < fround(layer.config.factor));
    return drawn.map((turns) => (turns && xs[0].shape[2] === 3 ? 1 : 0));
  },
  change: ({ xs, drawn }) => ({
    ys: degenerated(xs, drawn).map((y) => rounded(y.shape, y.data)),
    kept: null,
  }),
  back: ({ dys, drawn }) => degeneratedBack(dys, drawn),
};

const RandomColorDegeneration = {
  draw: ({ layer, xs, random }) => uniforms(xs, random, layer.config.factor),
  change({ layer, xs, drawn }) {
    const zs = degenerated(xs, drawn);
    return { ys: zs.map((z) => clipped(z, layer.config.value_range)), kept: zs };
  },
  back({ layer, dys, drawn, kept }) {
    const dzs = dys.map((dy, n) => inside(dy, kept[n], layer.config.value_range));
    return degeneratedBack(dzs, drawn);
  },
};

// -- light and dark -------------------------------------------------------------------------------

const RandomInvert = {
  draw: ({ layer, xs, random }) => chosen(xs, random, layer.config.factor),
  change({ layer, xs, drawn }) {
    const most = fround(layer.config.value_range[1]);
    const one = (x) =>
      rounded(
        x.shape,
        x.data.map((v) => most - v),
      );
    return { ys: xs.map((x, n) => (drawn[n] ? one(x) : x)), kept: null };
  },
  back({ dys, drawn }) {
    const one = (dy) =>
      array(
        dy.shape,
        dy.data.map((v) => -v),
      );
    return dys.map((dy, n) => (drawn[n] ? one(dy) : dy));
  },
};

// Light is added; what is then lighter than a threshold is inverted.
const Solarization = {
  draw({ layer, xs, random }) {
    const { addition_factor: more, threshold_factor: most } = layer.config;
    const [additions, thresholds] = [more, most].map(([low, high]) =>
      uniforms(xs, random, [low, high * 255]),
    );
    return { additions, thresholds };
  },
  change({ layer, xs, drawn: { additions, thresholds } }) {
    const { value_range: range } = layer.config;
    const [there, back] = [stretch(range, BYTES), stretch(BYTES, range)];
    const kept = xs.map((x) => new Int8Array(x.data.length)); // the slope of each pixel
    const ys = xs.map((x, n) => {
      const one = (v, i) => {
        const lighter = fround(there(v) + additions[n]);
        const z = Math.min(Math.max(lighter, 0), 255);
        const below = z < thresholds[n];
        if (z === lighter) kept[n][i] = below ? 1 : -1;
        return back(below ? z : fround(255 - z));
      };
      return array(x.shape, Float32Array.from(x.data, one));
    });
    return { ys, kept };
  },
  back: ({ dys, kept }) =>
    dys.map((dy, n) =>
      array(
        dy.shape,
        dy.data.map((v, i) => v * kept[n][i]),
      ),
    ),
};

// -- fewer colours: steps, which have no slope ----------------------------------------------------

const nothing = (dys) => dys.map((dy) => array(dy.shape));

const RandomPosterization = {
  draw({ layer, xs, random }) {
    const [low, high] = layer.config.factor;
    return xs.map(() => 8 - low - random.integer(Math.max(high - low - 1, 0)));
  },
  change({ layer, xs, drawn }) {
    const { value_range: range } = layer.config;
    const [there, back] = [stretch(range, BYTES), stretch(BYTES, range)];
    const ys = xs.map((x, n) => {
      const one = (v) => {
        const whole = Math.floor(Math.min(Math.max(there(v), 0), 255));
        return back((whole >> drawn[n]) << drawn[n]);
      };
      return array(x.shape, Float32Array.from(x.data, one));
    });
    return { ys, kept: null };
  },
  back: ({ dys }) => nothing(dys),
};

// The nearest whole number; of two the even one.
function nearest(v) {
  const low = Math.floor(v);
  if (v - low === 0.5) return low + (low % 2);
  return Math.round(v);
}

// The new colour for each bin of a channel of the whole batch; null for a single colour.
function equalizing(xs, channel, binOf, bins) {
  const ranks = new Float64Array(bins);
  for (const { shape, data } of xs) {
    for (let i = channel; i < data.length; i += shape[2]) ranks[binOf(data[i])] += 1;
  }
  const lowest = ranks.find((n) => n > 0) ?? 0;
  for (let bin = 1; bin < bins; bin++) ranks[bin] += ranks[bin - 1];
  const spread = ranks[bins - 1] - lowest;
  return spread ? ranks.map((n) => nearest(((Math.max(n, lowest) - lowest) * 255) / spread)) : null;
}

const Equalization = {
  draw: () => null,
  change({ layer, xs }) {
    const { value_range: range, bins } = layer.config;
    const [there, back] = [stretch(range, BYTES), stretch(BYTES, range)];
    const bin = (place) => Math.floor(Math.min(Math.max(place, 0), bins - 1));
    const counted = (v) => bin(fround(fround(there(v) * (bins - 1)) / 255));
    const read = (v) => bin(fround(fround(there(v) / 255) * (bins - 1)));
    const channels = xs[0].shape[2];
    const tables = Array.from({ length: channels }, (_, c) => equalizing(xs, c, counted, bins));
    const one = (v, i) => {
      const table = tables[i % channels];
      return table ? back(table[read(v)]) : v;
    };
    const ys = xs.map((x) => array(x.shape, Float32Array.from(x.data, one)));
    return { ys, kept: tables };
  },
  back: ({ dys, kept }) =>
    dys.map((dy) =>
      array(
        dy.shape,
        dy.data.map((v, i) => (kept[i % kept.length] ? 0 : v)),
      ),
    ),
};

export const COLOURS = {
  RandomContrast,
  RandomBrightness,
  RandomGrayscale,
  RandomColorDegeneration,
  RandomInvert,
  Solarization,
  RandomPosterization,
  Equalization,
};
