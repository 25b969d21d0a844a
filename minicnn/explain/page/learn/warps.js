// @ts-check
// How images are rotated, shifted, zoomed and sheared: each pixel of the result is read at
// (row, column) = (b0·j + b1·i + b2, a0·j + a1·i + a2). Places are float32, as TensorFlow's are.
import { array } from "page/engine/arrays.js";
import { rounded, uniforms } from "page/learn/changes.js";

const { fround } = Math;
const several = (v) => Array.isArray(v);

// The limits that a number, or two, stand for.
function limitsOf(value, least = -1) {
  if (several(value)) return [Math.min(...value), Math.max(...value)];
  return [Math.max(-Math.abs(value), least), Math.abs(value)];
}

// [a0, a1, a2, b0, b1, b2] of each image, as the layer draws them.
const DRAWN = {
  RandomRotation({ factor }, xs, random) {
    const [height, width] = xs[0].shape;
    const [x, y] = [(width - 1) / 2, (height - 1) / 2];
    const angles = uniforms(
      xs,
      random,
      factor.map((f) => f * 360),
    );
    return angles.map((angle) => {
      const radians = fround(angle * fround(Math.PI / 180));
      const [cos, sin] = [fround(Math.cos(radians)), fround(Math.sin(radians))];
      const left = fround(fround(x - fround(x * cos)) + fround(y * sin));
      const top = fround(fround(y - fround(x * sin)) - fround(y * cos));
      return [cos, -sin, left, sin, cos, top];
    });
  },
  RandomTranslation(config, xs, random) {
    const [height, width] = xs[0].shape;
    const down = uniforms(xs, random, limitsOf(config.height_factor));
    const right = uniforms(xs, random, limitsOf(config.width_factor));
    return xs.map((_, n) => [1, 0, -fround(right[n] * width), 0, 1, -fround(down[n] * height)]);
  },
  RandomZoom(config, xs, random) {
    const [height, width] = xs[0].shape;
    const zooms = (factor) =>
      uniforms(
        xs,
        random,
        limitsOf(factor).map((f) => 1 + f),
      );
    const rows = zooms(config.height_factor);
    const columns = config.width_factor === null ? rows : zooms(config.width_factor);
    const start = (n, zoom) => fround(((n - 1) / 2) * fround(1 - zoom));
    return xs.map((_, n) => [
      ...[columns[n], 0, start(width, columns[n])],
      ...[0, rows[n], start(height, rows[n])],
    ]);
  },
  RandomShear(config, xs, random) {
    const ways = xs.map(() => (random.random() > 0.5 ? -1 : 1));
    const shears = (factor) =>
      uniforms(xs, random, several(factor) ? limitsOf(factor) : [-factor, factor]);
    const down = shears(config.y_factor);
    const right = shears(config.x_factor);
    return xs.map((_, n) => [1, right[n] * ways[n], 0, down[n] * ways[n], 1, 0]);
  },
};

// Where a place beyond the `size` pixels of an axis is read.
function beyond(place, size, mode) {
  const last = size - 1;
  if (mode === "constant") return Math.min(Math.max(place, -2), size + 1);
  let found = place;
  if (mode === "reflect" && last > 0 && (place < 0 || place > last)) {
    const part = fround(place % (2 * size));
    if (place < 0) found = part < -size ? fround(part + 2 * size) : fround(-part - 1);
    else found = part >= size ? fround(fround(2 * size - part) - 1) : part;
  } else if (mode === "wrap" && last > 0 && place < 0) {
    found = fround(place + size * (Math.trunc(fround(-place / last)) + 1));
  } else if (mode === "wrap" && last > 0 && place > last) {
    found = fround(place - size * Math.trunc(fround(place / last)));
  }
  return Math.min(Math.max(found, 0), last);
}

const placeOf = (byJ, byI, start, i, j) =>
  fround(fround(fround(byJ * j) + fround(byI * i)) + start);

const nearest = (place) => Math.sign(place) * Math.floor(fround(Math.abs(place) + 0.5));

/**
 * Calls visit(offset in y, offset in x, weight) for each pixel that makes one of y; the offset in x
 * is -1 for what lies beside the image.
 */
function taps([height, width, channels], six, config, visit) {
  const { interpolation, fill_mode: mode } = config;
  const exact = interpolation === "nearest" ? nearest : (place) => place;
  for (let i = 0; i < height; i++) {
    for (let j = 0; j < width; j++) {
      const column = exact(beyond(placeOf(six[0], six[1], six[2], i, j), width, mode));
      const row = exact(beyond(placeOf(six[3], six[4], six[5], i, j), height, mode));
      const [top, left] = [Math.floor(row), Math.floor(column)];
      for (let r = top; r < top + 2; r++) {
        for (let s = left; s < left + 2; s++) {
          const weight = (1 - Math.abs(row - r)) * (1 - Math.abs(column - s));
          if (weight <= 0) continue;
          const there = r >= 0 && r < height && s >= 0 && s < width;
          visit((i * width + j) * channels, there ? (r * width + s) * channels : -1, weight);
        }
      }
    }
  }
}

// y[i, j] is the weighted sum of the pixels of x that its taps name.
const Warping = {
  draw: ({ layer, xs, random }) => DRAWN[layer.type](layer.config, xs, random),
  change({ layer: { config }, xs, drawn }) {
    const ys = xs.map((x, n) => {
      const y = array(x.shape);
      const channels = x.shape[2];
      taps(x.shape, drawn[n], config, (to, from, weight) => {
        for (let c = 0; c < channels; c++) {
          y.data[to + c] += weight * (from < 0 ? config.fill_value : x.data[from + c]);
        }
      });
      return rounded(y.shape, y.data);
    });
    return { ys, kept: null };
  },
  back: ({ layer, dys, drawn }) =>
    dys.map((dy, n) => {
      const dx = array(dy.shape);
      taps(dy.shape, drawn[n], layer.config, (to, from, weight) => {
        if (from < 0) return;
        for (let c = 0; c < dy.shape[2]; c++) dx.data[from + c] += weight * dy.data[to + c];
      });
      return dx;
    }),
};

export const WARPS = {
  RandomRotation: Warping,
  RandomTranslation: Warping,
  RandomZoom: Warping,
  RandomShear: Warping,
};
