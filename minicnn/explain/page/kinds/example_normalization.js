// @ts-check
// Layers that normalize each example by itself: along some axes, or a group of channels.
import { array, offsetOf, size, unravel } from "page/engine/arrays.js";
import { short, signed } from "page/explain/terms.js";
import { words } from "page/words.js";

const range = (n, first = 0) => Array.from({ length: n }, (_, i) => first + i);

// The axes that numbers are normalized along, of an example that has `rank` of them.
function axesOf({ config, type }, rank) {
  if (type === "GroupNormalization") return [rank - 1];
  if (type === "AutoContrast") return [0, 1];
  const axes = Array.isArray(config.axis) ? config.axis : [config.axis];
  return axes.map((a) => (a < 0 ? a + rank : a - 1)).sort((a, b) => a - b);
}

// The offsets of the numbers that are normalized together with the one at `at`.
function together(layer, shape, at) {
  let ranges = at.map((i) => [i]);
  if (layer.type === "GroupNormalization") {
    const each = shape.at(-1) / layer.config.groups;
    const first = Math.floor(at.at(-1) / each) * each;
    ranges = [...shape.slice(0, -1).map((n) => range(n)), range(each, first)];
  } else {
    for (const axis of axesOf(layer, shape.length)) ranges[axis] = range(shape[axis]);
  }
  return shape.reduce(
    (found, n, axis) => found.flatMap((o) => ranges[axis].map((i) => o * n + i)),
    [0],
  );
}

// Calls visit with the offsets of the numbers of each group.
function eachGroup(layer, shape, visit) {
  const seen = new Uint8Array(size(shape));
  for (let o = 0; o < seen.length; o++) {
    if (seen[o]) continue;
    const offsets = together(layer, shape, unravel(shape, o));
    for (const i of offsets) seen[i] = 1;
    visit(offsets);
  }
}

const meanOf = (offsets, f) => offsets.reduce((sum, o) => sum + f(o), 0) / offsets.length;

// {mean, variance, inverse, taken}: what is taken away from x, and what the rest is multiplied by.
function moments({ config }, x, offsets) {
  const mean = meanOf(offsets, (o) => x.data[o]);
  const variance = meanOf(offsets, (o) => (x.data[o] - mean) ** 2);
  const inverse = 1 / Math.sqrt(variance + config.epsilon);
  return { mean, variance, inverse, taken: config.rms_scaling ? 0 : mean };
}

const own = (layer, at) => axesOf(layer, at.length).map((axis) => at[axis]);

function parameter(layer, name, at, otherwise) {
  const p = layer.params[name];
  return p ? p.data[offsetOf(p.shape, own(layer, at))] : otherwise;
}

function normalized(layer, x) {
  const z = array(x.shape);
  eachGroup(layer, x.shape, (offsets) => {
    const { taken, inverse } = moments(layer, x, offsets);
    for (const o of offsets) z.data[o] = (x.data[o] - taken) * inverse;
  });
  return z;
}

function forwardOwn({ layer, x }) {
  const y = normalized(layer, x);
  y.data.forEach((z, o) => {
    const at = unravel(x.shape, o);
    y.data[o] = z * parameter(layer, "gamma", at, 1) + parameter(layer, "beta", at, 0);
  });
  return { y };
}

// The gradient of x for one group, in the steps that lead to it.
function gradientSteps(layer, x, dy, offsets) {
  const m = moments(layer, x, offsets);
  const g = (o) => dy.data[o] * parameter(layer, "gamma", unravel(x.shape, o), 1);
  const z = (o) => (x.data[o] - m.taken) * m.inverse;
  const meanG = layer.config.rms_scaling ? 0 : meanOf(offsets, g);
  const meanGz = meanOf(offsets, (o) => g(o) * z(o));
  const centred = (o) => (x.data[o] - m.mean) * m.inverse;
  const dx = (o) => (g(o) - meanG - centred(o) * meanGz) * m.inverse;
  return { ...m, g, centred, meanG, meanGz, dx };
}

function backwardOwn({ layer, x, p, dy }) {
  const grads = {};
  const dx = array(x.shape);
  const z = normalized(layer, x);
  eachGroup(layer, x.shape, (offsets) => {
    const steps = gradientSteps(layer, x, dy, offsets);
    for (const o of offsets) dx.data[o] = steps.dx(o);
  });
  for (const name of ["gamma", "beta"]) {
    if (!p[name]) continue;
    const sum = array(p[name].shape);
    dy.data.forEach((d, o) => {
      const at = offsetOf(sum.shape, own(layer, unravel(x.shape, o)));
      sum.data[at] += name === "gamma" ? d * z.data[o] : d;
    });
    grads[name] = sum;
  }
  return { dxs: [dx], grads };
}

function explainOwn({ layer, x, at }) {
  const offsets = together(layer, x.shape, at);
  const { variance, inverse, taken } = moments(layer, x, offsets);
  const input = x.data[offsetOf(x.shape, at)];
  const gamma = parameter(layer, "gamma", at, 1);
  const beta = parameter(layer, "beta", at, 0);
  const scaled = (input - taken) * inverse;
  const value = scaled * gamma + beta;
  const many = words("steps.of_image", { n: offsets.length });
  return {
    form: "steps",
    value,
    total: value,
    lines: [
      ["x", words("steps.comes_in"), input],
      [
        words("steps.minus_mean"),
        words("steps.the_mean", { mean: signed(taken), of: many }),
        input - taken,
      ],
      [
        words("steps.variance"),
        `÷ √(${short(variance)} + ${layer.config.epsilon}) = ÷ ${short(1 / inverse)}`,
        scaled,
      ],
      ["× gamma", words("steps.learned_gamma", { v: signed(gamma) }), scaled * gamma],
      ["+ beta", words("steps.learned_beta", { v: signed(beta) }), value],
    ],
  };
}

function explainInputOwn({ layer, x, at, dy }) {
  const offsets = together(layer, x.shape, at);
  const o = offsetOf(x.shape, at);
  const s = gradientSteps(layer, x, dy, offsets);
  const total = s.dx(o);
  const rest = s.centred(o) * s.meanGz;
  return {
    form: "steps",
    total,
    lines: [
      ["dy", words("steps.gradient_here"), dy.data[o]],
      ["g = dy × gamma", `× ${short(parameter(layer, "gamma", at, 1))}`, s.g(o)],
      [words("steps.mean_g"), words("steps.moved_mean", { v: signed(s.meanG) }), s.g(o) - s.meanG],
      [
        words("steps.mean_gx"),
        words("steps.moved_variance", { v: signed(rest) }),
        s.g(o) - s.meanG - rest,
      ],
      [words("steps.variance"), `÷ ${short(1 / s.inverse)}`, total],
    ],
  };
}

const weight =
  (name) =>
  ({ layer, x, dy, at, units, width, add }) => {
    const z = name === "gamma" ? normalized(layer, x) : null;
    dy.data.forEach((d, i) => {
      if (own(layer, unravel(x.shape, i)).some((v, k) => v !== at[k])) return;
      const o = Math.floor(i / units);
      add(o, z ? z.data[i] : 1, d, Math.floor(o / width), o % width);
    });
  };

// Whether a pixel's numbers depend on those of the same pixel alone.
const perPixel = (layer) =>
  layer.type !== "GroupNormalization" && axesOf(layer, 3).every((axis) => axis === 2);

const places = {
  reads: (layer, box, shape) => (perPixel(layer) ? box : [0, shape[0] - 1, 0, shape[1] - 1]),
  fills: (layer, box, shape) => {
    const whole = box[0] <= 0 && box[1] >= shape[0] - 1 && box[2] <= 0 && box[3] >= shape[1] - 1;
    return perPixel(layer) || whole ? box : [0, -1, 0, -1];
  },
};

const kind = {
  forward: forwardOwn,
  backward: backwardOwn,
  explain: explainOwn,
  explainInput: explainInputOwn,
  weights: { gamma: weight("gamma"), beta: weight("beta") },
  ...places,
};

export const LayerNormalization = kind;
export const GroupNormalization = kind;

// -- to the length 1 -----------------------------------------------------------------------------

function inverseLength(x, offsets) {
  return Math.min(1 / Math.sqrt(offsets.reduce((sum, o) => sum + x.data[o] ** 2, 0)), 1e12);
}

function forwardUnit({ layer, x }) {
  const y = array(x.shape);
  eachGroup(layer, x.shape, (offsets) => {
    const inverse = inverseLength(x, offsets);
    for (const o of offsets) y.data[o] = x.data[o] * inverse;
  });
  return { y };
}

// Σ dy·y of a group: how much of the gradient lies along x, and changes the length alone.
function along(x, dy, offsets, inverse) {
  if (inverse === 1e12) return 0;
  return offsets.reduce((sum, o) => sum + dy.data[o] * x.data[o] * inverse, 0);
}

function backwardUnit({ layer, x, dy }) {
  const dx = array(x.shape);
  eachGroup(layer, x.shape, (offsets) => {
    const inverse = inverseLength(x, offsets);
    const part = along(x, dy, offsets, inverse);
    for (const o of offsets) dx.data[o] = (dy.data[o] - x.data[o] * inverse * part) * inverse;
  });
  return { dxs: [dx], grads: {} };
}

function explainUnit({ layer, x, at }) {
  const inverse = inverseLength(x, together(layer, x.shape, at));
  const input = x.data[offsetOf(x.shape, at)];
  const value = input * inverse;
  return {
    form: "steps",
    value,
    total: value,
    lines: [
      ["x", words("steps.comes_in"), input],
      ["÷ √Σ x²", words("steps.the_length", { v: short(1 / inverse) }), value],
    ],
  };
}

function explainInputUnit({ layer, x, at, dy }) {
  const offsets = together(layer, x.shape, at);
  const inverse = inverseLength(x, offsets);
  const o = offsetOf(x.shape, at);
  const rest = x.data[o] * inverse * along(x, dy, offsets, inverse);
  const total = (dy.data[o] - rest) * inverse;
  return {
    form: "steps",
    total,
    lines: [
      ["dy", words("steps.gradient_here"), dy.data[o]],
      ["− y × Σ dy·y", words("steps.length_alone", { v: signed(rest) }), dy.data[o] - rest],
      ["÷ √Σ x²", `÷ ${short(1 / inverse)}`, total],
    ],
  };
}

export const UnitNormalization = {
  forward: forwardUnit,
  backward: backwardUnit,
  explain: explainUnit,
  explainInput: explainInputUnit,
  ...places,
};

// -- to the whole range --------------------------------------------------------------------------

// Of the numbers at these offsets: the least and the most, how often each is there, and by how
// much they are stretched.
function stretchOf(layer, x, offsets) {
  const [low, high] = layer.config.value_range;
  let [least, most] = [Infinity, -Infinity];
  for (const o of offsets) {
    least = Math.min(least, x.data[o]);
    most = Math.max(most, x.data[o]);
  }
  const often = (v) => offsets.reduce((n, o) => n + (x.data[o] === v ? 1 : 0), 0);
  const flat = least === most;
  const scale = flat ? 1 : (high - low) / (most - least);
  return { low, least, most, scale, flat, often };
}

function forwardStretch({ layer, x }) {
  const y = array(x.shape);
  eachGroup(layer, x.shape, (offsets) => {
    const s = stretchOf(layer, x, offsets);
    for (const o of offsets) {
      y.data[o] = s.flat ? x.data[o] : s.low + s.scale * (x.data[o] - s.least);
    }
  });
  return { y };
}

// What moving the least and the most would do to all numbers of a group.
function limitsMoved(x, dy, offsets, s) {
  let [toLeast, toMost] = [0, 0];
  for (const o of offsets) {
    const share = (x.data[o] - s.least) / (s.most - s.least);
    toMost += dy.data[o] * share;
    toLeast += dy.data[o] * (1 - share);
  }
  return { toLeast: toLeast / s.often(s.least), toMost: toMost / s.often(s.most) };
}

const limitPart = (v, s, moved) =>
  (v === s.least ? moved.toLeast : 0) + (v === s.most ? moved.toMost : 0);

function backwardStretch({ layer, x, dy }) {
  const dx = array(x.shape);
  eachGroup(layer, x.shape, (offsets) => {
    const s = stretchOf(layer, x, offsets);
    const moved = s.flat ? null : limitsMoved(x, dy, offsets, s);
    for (const o of offsets) {
      dx.data[o] = moved ? s.scale * (dy.data[o] - limitPart(x.data[o], s, moved)) : dy.data[o];
    }
  });
  return { dxs: [dx], grads: {} };
}

function explainStretch({ layer, x, at }) {
  const s = stretchOf(layer, x, together(layer, x.shape, at));
  const input = x.data[offsetOf(x.shape, at)];
  if (s.flat) {
    const lines = [["x", words("steps.one_colour"), input]];
    return { form: "steps", value: input, total: input, lines };
  }
  const above = input - s.least;
  const value = s.low + s.scale * above;
  return {
    form: "steps",
    value,
    total: value,
    lines: [
      ["x", words("steps.comes_in"), input],
      [words("steps.least"), words("steps.darkest", { v: signed(s.least) }), above],
      [words("steps.scale"), words("steps.lightest", { v: short(s.scale) }), value - s.low],
      [words("steps.low"), words("steps.begins", { v: signed(s.low) }), value],
    ],
  };
}

function explainInputStretch({ layer, x, at, dy }) {
  const offsets = together(layer, x.shape, at);
  const s = stretchOf(layer, x, offsets);
  const o = offsetOf(x.shape, at);
  const received = dy.data[o];
  const rest = s.flat ? 0 : limitPart(x.data[o], s, limitsMoved(x, dy, offsets, s));
  const total = s.scale * (received - rest);
  return {
    form: "steps",
    total,
    lines: [
      ["dy", words("steps.gradient_here"), received],
      [words("steps.limits"), words("steps.extremes", { v: signed(rest) }), received - rest],
      [words("steps.scale"), `× ${short(s.scale)}`, total],
    ],
  };
}

export const AutoContrast = {
  forward: forwardStretch,
  backward: backwardStretch,
  explain: explainStretch,
  explainInput: explainInputStretch,
  ...places,
};
