// @ts-check
// Layers that make images of another size: each pixel is a weighted sum of some of the old ones.
import { array, offsetOf, pair, size } from "page/engine/arrays.js";
import { cropped, resized, windowed } from "page/engine/sampling.js";
import { short, sumOf } from "page/explain/terms.js";
import { words } from "page/words.js";

const WHERE = {
  UpSampling2D: (c, [height, width]) => {
    const [rows, columns] = pair(c.size);
    return resized([height, width], [height * rows, width * columns], c);
  },
  Resizing: (c, shape) => resized(shape, [c.height, c.width], c),
  AdaptiveAveragePooling2D: (c, shape) => windowed(shape, c.output_size),
  // What it does when nothing trains.
  RandomCrop: (c, shape) => resized(shape, [c.height, c.width], { crop_to_aspect_ratio: true }),
  CenterCrop: (c, shape) => {
    const rows = shape[0] - c.height;
    const columns = shape[1] - c.width;
    if (rows < 0 || columns < 0) {
      return resized(shape, [c.height, c.width], { crop_to_aspect_ratio: true });
    }
    return cropped([rows >> 1, columns >> 1], [c.height, c.width]);
  },
  Cropping2D: (c, shape) => {
    const sides = c.cropping;
    const to = sides.map(([before, after], axis) => shape[axis] - before - after);
    if (to[0] < 1 || to[1] < 1) {
      throw new Error(words("sample.nothing_left", { rows: shape[0], columns: shape[1] }));
    }
    return cropped([sides[0][0], sides[1][0]], to);
  },
};

const sampling = (layer, shape) => WHERE[layer.type](layer.config, shape);

const total = (taps) => taps.reduce((sum, [, weight]) => sum + weight, 0);

// Calls visit(offset in x, offset in y, weight) for all numbers that make one of y.
function visitAll({ rows, columns }, [, width, channels], visit) {
  rows.forEach((above, i) => {
    columns.forEach((beside, j) => {
      const to = (i * columns.length + j) * channels;
      for (const [row, a] of above) {
        for (const [column, b] of beside) {
          const from = (row * width + column) * channels;
          for (let c = 0; c < channels; c++) visit(from + c, to + c, a * b);
        }
      }
    });
  });
}

export function sampled(where, x) {
  const channels = x.shape[2];
  const y = array([where.rows.length, where.columns.length, channels]);
  visitAll(where, x.shape, (from, to, weight) => {
    y.data[to] += weight * x.data[from];
  });
  if (where.fill) {
    y.data.forEach((v, o) => {
      const pixel = Math.floor(o / channels);
      const row = where.rows[Math.floor(pixel / where.columns.length)];
      const column = where.columns[pixel % where.columns.length];
      y.data[o] = v + where.fill * (1 - total(row) * total(column));
    });
  }
  return y;
}

// The gradient of x, of this shape.
export function sentBack(where, dy, shape) {
  const dx = array(shape, new Float64Array(size(shape)));
  visitAll(where, shape, (from, to, weight) => {
    dx.data[from] += weight * dy.data[to];
  });
  return dx;
}

const TEXT = {
  UpSampling2D: (c) => words("sample.block", { size: pair(c.size).join("×") }),
  Resizing: () => words("sample.nearest"),
  RandomCrop: () => words("sample.middle"),
  CenterCrop: () => words("sample.middle"),
  AdaptiveAveragePooling2D: () => words("sample.one"),
  Cropping2D: (c) => words("sample.cut", { top: c.cropping[0][0], left: c.cropping[1][0] }),
};

function explainSampling({ layer, x, at, last, c }) {
  const { rows, columns, fill } = sampling(layer, x.shape);
  const terms = [];
  for (const [row, a] of rows[at[0]]) {
    for (const [col, b] of columns[at[1]]) {
      const input = x.data[offsetOf(x.shape, [row, col, last])];
      const label = words("sample.pixel", { row, column: col });
      const note = words("sample.shares", { a: short(a), b: short(b) });
      terms.push({ label, note, input, weight: a * b, product: a * b * input, row, col });
    }
  }
  const sum = sumOf(terms);
  const border = fill * (1 - total(rows[at[0]]) * total(columns[at[1]]));
  const value = sum + border;
  if (terms.length === 1 && terms[0].weight === 1) {
    const from = [{ at: [terms[0].row, terms[0].col, last], value, input: 0 }];
    return { form: "copy", from, value, total: value, text: TEXT[layer.type](c) };
  }
  const title = words("sample.around");
  const bias = border || null;
  const more = { bias, biasName: words("sample.border"), z: value, activation: "linear" };
  return { form: "terms", pooled: true, title, terms, total: sum, value, ...more };
}

function explainInputSampling({ layer, x, at, k, dy }) {
  const { rows, columns } = sampling(layer, x.shape);
  const terms = [];
  const count = (taps, place) =>
    taps.flatMap((list, i) => list.filter(([from]) => from === place).map(([, w]) => [i, w]));
  for (const [row, a] of count(rows, at[0])) {
    for (const [col, b] of count(columns, at[1])) {
      const input = dy.data[offsetOf(dy.shape, [row, col, k])];
      const label = words("sample.pixel", { row, column: col });
      const note = words("sample.counts");
      terms.push({ label, note, input, weight: a * b, product: a * b * input, row, col });
    }
  }
  const title = terms.length ? words("sample.sent") : words("sample.none");
  return { form: "terms", back: true, pooled: true, title, terms, total: sumOf(terms) };
}

const span = (taps, first, last) => {
  const places = taps.slice(Math.max(first, 0), last + 1).flatMap((list) => list.map(([p]) => p));
  return [Math.min(...places), Math.max(...places)];
};

// The rows and columns of the old image from which those in the box are made.
export const covered = ({ rows, columns }, [top, bottom, left, right]) => [
  ...span(rows, top, bottom),
  ...span(columns, left, right),
];

const within = (taps, first, last) => {
  const inside = taps.flatMap((list, i) =>
    list.length && list.every(([p]) => p >= first && p <= last) ? [i] : [],
  );
  return inside.length ? [inside[0], inside.at(-1)] : [0, -1];
};

// The rows and columns that are made from the box of the old image alone.
export const filled = ({ rows, columns }, [top, bottom, left, right]) => [
  ...within(rows, top, bottom),
  ...within(columns, left, right),
];

const kind = {
  forward: ({ layer, x }) => ({ y: sampled(sampling(layer, x.shape), x) }),
  backward: ({ layer, x, dy }) => ({
    dxs: [sentBack(sampling(layer, x.shape), dy, x.shape)],
    grads: {},
  }),
  explain: explainSampling,
  explainInput: explainInputSampling,
  reads: (layer, box, shape) => covered(sampling(layer, shape), box),
  fills: (layer, box, shape) => filled(sampling(layer, shape), box),
};

export const AdaptiveAveragePooling2D = kind;
export const UpSampling2D = kind;
export const Cropping2D = kind;
export const Resizing = kind;
export const CenterCrop = kind;
