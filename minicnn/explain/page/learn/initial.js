// @ts-check
// New weights, as minicnn's initializers draw them after `set_random_seed(seed)`.
import { normal } from "page/learn/normal.js";
import { fillFromSeed } from "page/learn/philox.js";
import { Generator } from "page/learn/random.js";
import { said, words } from "page/words.js";

/**
 * @param {Record<string, InitialWeight>} initial by "layer/weight", in the order of creation
 * @param {number} seed
 */
export function newWeights(initial, seed) {
  const common = new Generator(seed);
  const made = new Map();
  for (const [key, { shape, draw, limits, value, own }] of Object.entries(initial)) {
    const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
    if (value !== null) data.fill(value);
    else if (draw === "identity") diagonal(limits[0], shape, data);
    else if (draw === "orthogonal") orthogonal(own ?? common, limits[0], shape, data);
    else if (own !== null && draw) fillFromSeed(draw, own, limits, data);
    else fill(draw, common, limits, data);
    made.set(key, { shape, data });
  }
  return made;
}

// As NumPy's generator draws.
function fill(draw, generator, [first, second], data) {
  if (draw === "uniform") {
    for (let i = 0; i < data.length; i++) data[i] = generator.uniform(first, second);
    return;
  }
  const values = Float64Array.from(data, () => normal(generator));
  const isFar = (i) => draw === "truncated" && Math.abs(values[i]) > 2;
  let far = [...values.keys()].filter(isFar);
  while (far.length) {
    for (const i of far) values[i] = normal(generator);
    far = far.filter(isFar);
  }
  values.forEach((v, i) => {
    data[i] = first + second * v;
  });
}

function diagonal(gain, shape, data) {
  for (let i = 0; i < Math.min(...shape); i++) data[i * shape[1] + i] = gain;
}

// A matrix whose rows or columns are orthogonal, of length `gain`: normal numbers, of which each
// column gives up what it shares with those before it (Gram and Schmidt; done twice, it is exact).
function orthogonal(source, gain, shape, data) {
  const last = shape.at(-1);
  const rows = data.length / last;
  const [long, short] = [Math.max(rows, last), Math.min(rows, last)];
  const drawn = new Float64Array(long * short);
  if (source instanceof Generator) for (let i = 0; i < drawn.length; i++) drawn[i] = normal(source);
  else drawn.set(normals32(source, drawn.length));
  const columnOf = (k) => Float64Array.from({ length: long }, (_, i) => drawn[i * short + k]);
  const columns = [...Array(short).keys()].map(columnOf);
  columns.forEach((column, k) => {
    for (const before of [...columns.slice(0, k), ...columns.slice(0, k)]) {
      const part = dot(column, before);
      for (let i = 0; i < long; i++) column[i] -= part * before[i];
    }
    const length = Math.sqrt(dot(column, column));
    for (let i = 0; i < long; i++) column[i] /= length;
  });
  for (let o = 0; o < data.length; o++) {
    const [i, k] = [Math.floor(o / last), o % last];
    data[o] = gain * (rows < last ? columns[i][k] : columns[k][i]);
  }
}

function dot(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

function normals32(seed, count) {
  const data = new Float32Array(count);
  fillFromSeed("normal", seed, [0, 1], data);
  return data;
}

// Why the page cannot draw new weights, or "".
export function obstacleToNew(initial) {
  const other = Object.entries(initial).find(([, { kind }]) => kind);
  return other ? words("learn.not_drawn", { name: other[0], kind: said(other[1].kind) }) : "";
}
