// @ts-check
// What arithmetic with symbols makes, and layers that Keras has for its own networks alone.
import { array, map, offsetOf, unravel } from "page/engine/arrays.js";
import { short } from "page/explain/terms.js";
import { Dropout, movedBy } from "page/kinds/moves.js";
import { words } from "page/words.js";

// -- functions of one number ----------------------------------------------------------------------

const FUNCTIONS = {
  Reciprocal: (c) => ({
    y: (x) => c.numerator / x,
    slope: (x) => -c.numerator / (x * x),
    says: `${short(c.numerator)} ÷ x`,
  }),
  Power: (c) => ({
    y: (x) => x ** c.exponent,
    slope: (x) => (c.exponent === 0 ? 0 : c.exponent * x ** (c.exponent - 1)),
    says: words("steps.power", { exponent: short(c.exponent) }),
  }),
};

const functionOf = ({ layer, c }) => FUNCTIONS[layer.type](c);

const ofOneNumber = {
  forward: (pass) => ({ y: map(pass.x, functionOf(pass).y) }),
  backward(pass) {
    const { slope } = functionOf(pass);
    return { dxs: [map(pass.dy, (d, i) => d * slope(pass.x.data[i]))], grads: {} };
  },
  explain(cell) {
    const { y, says } = functionOf(cell);
    const input = cell.x.data[offsetOf(cell.x.shape, cell.at)];
    const value = y(input);
    const lines = [
      ["x", words("steps.comes_in"), input],
      ["y", says, value],
    ];
    return { form: "steps", value, total: value, lines };
  },
  explainInput(cell) {
    const { slope, says } = functionOf(cell);
    const o = offsetOf(cell.x.shape, cell.at);
    const [x, d] = [cell.x.data[o], cell.dy.data[o]];
    const total = d * slope(x);
    return {
      form: "steps",
      total,
      lines: [
        ["dy", words("steps.gradient_here"), d],
        [
          words("steps.slope"),
          words("steps.slope_of", { slope: short(slope(x)), what: says, x: short(x) }),
          total,
        ],
      ],
    };
  },
};

export const Reciprocal = ofOneNumber;
export const Power = ofOneNumber;

// -- GetItem: a part of the numbers ---------------------------------------------------------------

// What the key says of each axis of x: {first, step, n}, or {first} for one place; null for an axis
// that y has in addition. The key begins with the batch, which is not here.
/** @returns {({ first: number, step?: number, n?: number } | null)[]} */
function partsOf(key, shape) {
  const parts = [...key];
  const isRest = (part) => part?.class_name === "__ellipsis__";
  if (!parts.some(isRest)) parts.push({ class_name: "__ellipsis__" });
  const named = parts.filter((part) => part !== null).length - 1;
  const rest = parts.findIndex(isRest);
  const whole = { config: { start: null, stop: null, step: null } };
  parts.splice(rest, 1, ...Array(shape.length + 1 - named).fill(whole));
  let axis = 0;
  return parts.slice(1).map((part) => {
    if (part === null) return null;
    const size = shape[axis++];
    if (typeof part === "number") return { first: part < 0 ? part + size : part };
    return sliceOf(part.config ?? part, size);
  });
}

// As Python's slice.indices.
function sliceOf({ start, stop, step }, size) {
  const by = step ?? 1;
  const [low, high] = by > 0 ? [0, size] : [-1, size - 1];
  const limit = (v, otherwise) =>
    v === null ? otherwise : Math.max(low, Math.min(high, v < 0 ? v + size : v));
  const first = limit(start, by > 0 ? low : high);
  const end = limit(stop, by > 0 ? high : low);
  return { first, step: by, n: Math.max(0, Math.ceil((end - first) / by)) };
}

const partShape = (c, shape) =>
  partsOf(c.key, shape).flatMap((part) => (part === null ? [1] : (part.n ?? [])));

// The place in x of a place in y.
function partPlace(c, at, shape) {
  let axis = 0;
  return partsOf(c.key, shape).flatMap((part) => {
    if (part === null) {
      axis += 1;
      return [];
    }
    return [part.n === undefined ? part.first : part.first + (part.step ?? 1) * at[axis++]];
  });
}

// Whether a layer flips the rows (1) or the columns (2) of all its images, or both (3).
export function flipsOf({ type, config }, shape) {
  if (type !== "GetItem" || shape.length !== 3) return 0;
  const parts = partsOf(config.key, shape).slice(0, 2);
  const around = parts.map((part, axis) => part?.step === -1 && part.n === shape[axis]);
  return Number(around[0]) + 2 * Number(around[1]);
}

export const GetItem = {
  ...movedBy({ shape: partShape, place: partPlace, says: () => words("move.taken") }),
  explainInput(cell) {
    const { x, y, dy, at, c } = cell;
    for (let o = 0; o < y.data.length; o++) {
      const to = unravel(y.shape, o);
      if (partPlace(c, to, x.shape).join() !== at.join()) continue;
      const value = dy.data[o];
      return {
        form: "copy",
        from: [{ at: to, value, back: true }],
        total: value,
        text: words("move.gradient_went"),
      };
    }
    return { form: "copy", from: [], total: 0, text: words("move.left_out") };
  },
};

// -- Stack: inputs side by side along a new axis --------------------------------------------------

const stackAxis = ({ c, xs }) => (c.axis > 0 ? c.axis - 1 : xs[0].shape.length + 1 + c.axis);

const without = (at, axis) => at.filter((_, k) => k !== axis);

export const Stack = {
  forward({ c, xs }) {
    const axis = stackAxis({ c, xs });
    const y = array(xs[0].shape.toSpliced(axis, 0, xs.length));
    for (let o = 0; o < y.data.length; o++) {
      const at = unravel(y.shape, o);
      y.data[o] = xs[at[axis]].data[offsetOf(xs[0].shape, without(at, axis))];
    }
    return { y };
  },
  backward({ c, xs, dy }) {
    const axis = stackAxis({ c, xs });
    const dxs = xs.map((x) => array(x.shape));
    for (let o = 0; o < dy.data.length; o++) {
      const at = unravel(dy.shape, o);
      dxs[at[axis]].data[offsetOf(xs[0].shape, without(at, axis))] = dy.data[o];
    }
    return { dxs, grads: {} };
  },
  explain({ c, xs, at }) {
    const axis = stackAxis({ c, xs });
    const from = without(at, axis);
    const value = xs[at[axis]].data[offsetOf(xs[0].shape, from)];
    return {
      form: "copy",
      from: [{ at: from, value, input: at[axis] }],
      value,
      total: value,
      text: words("move.stacked", { place: at[axis], axis }),
    };
  },
  explainInput({ c, xs, at, which, dy }) {
    const to = at.toSpliced(stackAxis({ c, xs }), 0, which);
    const value = dy.data[offsetOf(dy.shape, to)];
    const text = words("move.gradient_went");
    return { form: "copy", from: [{ at: to, value, back: true }], total: value, text };
  },
};

// -- layers of Keras's own networks ---------------------------------------------------------------

const gammaAt = ({ p }, k) => p.gamma.data[k % p.gamma.data.length];

export const LayerScale = {
  forward: (pass) => ({ y: map(pass.x, (v, i) => v * gammaAt(pass, i)) }),
  backward(pass) {
    const gamma = array(pass.p.gamma.shape);
    const dx = map(pass.dy, (d, i) => {
      gamma.data[i % gamma.data.length] += d * pass.x.data[i];
      return d * gammaAt(pass, i);
    });
    return { dxs: [dx], grads: { gamma } };
  },
  explain(cell) {
    const input = cell.x.data[offsetOf(cell.x.shape, cell.at)];
    return scaled(cell, cell.last, ["x", words("steps.comes_in"), input]);
  },
  explainInput(cell) {
    const d = cell.dy.data[offsetOf(cell.x.shape, cell.at)];
    return scaled(cell, cell.k, ["dy", words("steps.gradient_here"), d]);
  },
  weights: {
    gamma({ x, dz, last, units, n, width, add }) {
      for (let o = 0; o < n; o++) {
        const k = o * units + last;
        add(o, x.data[k], dz.data[k], Math.floor(o / width), o % width);
      }
    },
  },
};

function scaled(cell, k, line) {
  const gamma = gammaAt(cell, k);
  const value = line[2] * gamma;
  const lines = [line, ["× gamma", words("steps.learned_gamma", { v: short(gamma) }), value]];
  return { form: "steps", value, total: value, lines };
}

export const StochasticDepth = Dropout;
