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
    else if (own !== null) fillFromSeed(draw, own, limits, data);
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

// Why the page cannot draw new weights, or "".
export function obstacleToNew(initial) {
  const other = Object.entries(initial).find(([, { kind }]) => kind);
  return other ? words("learn.not_drawn", { name: other[0], kind: said(other[1].kind) }) : "";
}
