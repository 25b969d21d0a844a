// @ts-check
// Layers that compute nothing: they only pass numbers on, to the same place or to another.
import { array, offsetOf, size, unravel } from "page/engine/arrays.js";
import { short, sumOf } from "page/explain/terms.js";
import { words } from "page/words.js";

function paddingOf(layer) {
  const p = layer.config.padding;
  return Array.isArray(p[0])
    ? p
    : [
        [p[0], p[0]],
        [p[1], p[1]],
      ];
}

function shifted(shape, inner, pad, visit) {
  const [height, width, channels] = inner;
  const [[top], [left]] = pad;
  for (let y = 0; y < height; y++) {
    for (let i = 0; i < width * channels; i++) {
      visit(y * width * channels + i, ((y + top) * shape[1] + left) * channels + i);
    }
  }
}

function zeroPadded(layer, x) {
  const p = paddingOf(layer);
  const [height, width, channels] = x.shape;
  const y = array([height + p[0][0] + p[0][1], width + p[1][0] + p[1][1], channels]);
  shifted(y.shape, x.shape, p, (from, to) => {
    y.data[to] = x.data[from];
  });
  return y;
}

function readingOrder(shape, at, o) {
  if (shape.length !== 3) return words("move.reading_order", { n: o });
  const [, width, channels] = shape;
  const [r, c, k] = at;
  return words("move.place", { row: r, width, maps: channels, column: c, map: k, n: o });
}

function forwardUnchanged({ x }) {
  return { y: x };
}

function forwardFlatten({ x }) {
  return { y: array([x.data.length], x.data) };
}

function forwardReshape({ x, c }) {
  const known = c.target_shape.reduce((a, b) => (b === -1 ? a : a * b), 1);
  const shape = c.target_shape.map((s) => (s === -1 ? x.data.length / known : s));
  if (size(shape) !== x.data.length) {
    throw new Error(words("move.reshape", { n: size(shape), got: x.data.length }));
  }
  return { y: array(shape, x.data) };
}

function forwardZeroPadding2D({ layer, x }) {
  return { y: zeroPadded(layer, x) };
}

function backwardUnchanged({ dy }) {
  return { dxs: [dy], grads: {} };
}

function backwardFlatten({ x, dy }) {
  return { dxs: [array(x.shape, dy.data)], grads: {} };
}

function backwardZeroPadding2D({ layer, x, dy }) {
  const dx = array(x.shape);
  shifted(dy.shape, x.shape, paddingOf(layer), (to, from) => {
    dx.data[to] = dy.data[from];
  });
  return { dxs: [dx], grads: {} };
}

function explainFlatten({ x, at, y }) {
  const o = offsetOf(y.shape, at);
  const from = unravel(x.shape, o);
  return {
    form: "copy",
    from: [{ at: from, value: x.data[o], input: 0 }],
    value: x.data[o],
    total: x.data[o],
    text: readingOrder(x.shape, from, o),
  };
}

// The numbers in the sentences about layers that only work in training (training.Dropout, …).
const kept = ({ rate }) => ({ rate, rest: short(1 - rate) });
const NUMBERS = {
  Dropout: kept,
  SpatialDropout1D: kept,
  SpatialDropout2D: kept,
  StochasticDepth: (c) => kept({ rate: c.drop_path_rate }),
  GaussianNoise: (c) => ({ deviation: short(c.stddev) }),
  GaussianDropout: (c) => ({ variance: short(c.rate / (1 - c.rate)) }),
  AlphaDropout: kept,
  RandomFlip: (c) => ({ mode: c.mode }),
  RandomGrayscale: (c) => ({ rate: c.factor }),
  RandAugment: (c) => ({ n: c.num_ops }),
};

function explainPassedOn({ x, at }, text) {
  const o = offsetOf(x.shape, at);
  return {
    form: "copy",
    from: [{ at, value: x.data[o], input: 0 }],
    value: x.data[o],
    total: x.data[o],
    text,
  };
}

function explainDropout(cell) {
  const { type } = cell.layer;
  return explainPassedOn(
    cell,
    words("move.training_only", {
      type,
      what: words(`training.${type}`, NUMBERS[type]?.(cell.c)),
    }),
  );
}

function explainActivityRegularization(cell) {
  const { l1, l2 } = cell.c;
  return explainPassedOn(cell, words("move.activity", { l1, l2 }));
}

function explainIdentity(cell) {
  return explainPassedOn(cell, words("move.identity"));
}

function explainZeroPadding2D({ layer, x, at, last }) {
  const [[top], [left]] = paddingOf(layer);
  const from = [at[0] - top, at[1] - left, last];
  const inside = from[0] >= 0 && from[0] < x.shape[0] && from[1] >= 0 && from[1] < x.shape[1];
  const value = inside ? x.data[offsetOf(x.shape, from)] : 0;
  return {
    form: "copy",
    from: inside ? [{ at: from, value, input: 0 }] : [],
    value,
    total: value,
    text: inside ? words("move.moved", { down: top, right: left }) : words("move.border"),
  };
}

const gradientFrom = (at, value) => ({
  form: "copy",
  from: [{ at, value, back: true }],
  total: value,
  text: words("move.gradient"),
});

export function explainInputSamePlace({ x, at, dy }) {
  return gradientFrom(at, dy.data[offsetOf(x.shape, at)]);
}

function explainInputSameNumber({ x, at, dy, y }) {
  const o = offsetOf(x.shape, at);
  return gradientFrom(unravel(y.shape, o), dy.data[o]);
}

function explainInputZeroPadding2D({ layer, at, k, dy }) {
  const [[top], [left]] = paddingOf(layer);
  const to = [at[0] + top, at[1] + left, k];
  const v = dy.data[offsetOf(dy.shape, to)];
  return {
    form: "copy",
    from: [{ at: to, value: v, back: true }],
    total: v,
    text: words("move.gradient_moved", { down: top, right: left }),
  };
}

// A kind that copies numbers to other places: `shape` is that of its output, `place` the place in x
// of a place in y.
export function movedBy({ shape, place, says }) {
  const source = (c, x, y, o) => offsetOf(x.shape, place(c, unravel(y.shape, o), x.shape));
  return {
    forward({ x, c }) {
      const y = array(shape(c, x.shape));
      for (let o = 0; o < y.data.length; o++) y.data[o] = x.data[source(c, x, y, o)];
      return { y };
    },
    backward({ x, c, dy }) {
      const dx = array(x.shape);
      for (let o = 0; o < dy.data.length; o++) dx.data[source(c, x, dy, o)] += dy.data[o];
      return { dxs: [dx], grads: {} };
    },
    explain({ x, at, c }) {
      const from = place(c, at, x.shape);
      const value = x.data[offsetOf(x.shape, from)];
      return {
        form: "copy",
        from: [{ at: from, value, input: 0 }],
        value,
        total: value,
        text: says(c),
      };
    },
  };
}

function permutedPlace(c, at) {
  const from = [];
  c.dims.forEach((axis, k) => {
    from[axis - 1] = at[k];
  });
  return from;
}

export const Permute = {
  ...movedBy({
    shape: (c, shape) => c.dims.map((axis) => shape[axis - 1]),
    place: permutedPlace,
    says: (c) => words("move.axes", { dims: c.dims.join(", ") }),
  }),
  explainInput({ at, c, dy }) {
    const to = c.dims.map((axis) => at[axis - 1]);
    return gradientFrom(to, dy.data[offsetOf(dy.shape, to)]);
  },
};

export const RepeatVector = {
  ...movedBy({
    shape: (c, shape) => [c.n, ...shape],
    place: (c, at) => at.slice(1),
    says: (c) => words("move.repeated", { n: c.n }),
  }),
  explainInput({ at, c, dy }) {
    const terms = Array.from({ length: c.n }, (_, i) => {
      const input = dy.data[offsetOf(dy.shape, [i, ...at])];
      const note = words("move.one_of");
      return {
        label: words("move.copy", { k: i }),
        note,
        input,
        weight: 1,
        product: input,
        index: i,
      };
    });
    const title = words("move.copies");
    return { form: "terms", back: true, pooled: true, title, terms, total: sumOf(terms) };
  },
};

export const InputLayer = { forward: forwardUnchanged, backward: backwardUnchanged };

export const Identity = {
  forward: forwardUnchanged,
  backward: backwardUnchanged,
  explain: explainIdentity,
  explainInput: explainInputSamePlace,
};

export const Dropout = {
  forward: forwardUnchanged,
  backward: backwardUnchanged,
  explain: explainDropout,
  explainInput: explainInputSamePlace,
};

export const ActivityRegularization = {
  ...Dropout,
  explain: explainActivityRegularization,
};

export const Flatten = {
  forward: forwardFlatten,
  backward: backwardFlatten,
  explain: explainFlatten,
  explainInput: explainInputSameNumber,
};

export const Reshape = {
  forward: forwardReshape,
  backward: backwardFlatten,
  explain: explainFlatten,
  explainInput: explainInputSameNumber,
};

export const ZeroPadding2D = {
  forward: forwardZeroPadding2D,
  backward: backwardZeroPadding2D,
  explain: explainZeroPadding2D,
  explainInput: explainInputZeroPadding2D,
  reads: (layer, box) => {
    const [[top], [left]] = paddingOf(layer);
    return [box[0] - top, box[1] - top, box[2] - left, box[3] - left];
  },
  fills: (layer, box) => {
    const [[top], [left]] = paddingOf(layer);
    return [box[0] + top, box[1] + top, box[2] + left, box[3] + left];
  },
};
