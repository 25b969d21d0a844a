// @ts-check
// New weights, as minicnn's initializers draw them after `set_random_seed(seed)`.
import { Generator } from "page/learn/random.js";

/**
 * @param {Record<string, InitialWeight>} initial by "layer/weight", in the order of creation
 * @param {number} seed
 */
export function newWeights(initial, seed) {
  const common = new Generator(seed);
  const made = new Map();
  for (const [key, { shape, low, high, value, own }] of Object.entries(initial)) {
    const n = shape.reduce((a, b) => a * b, 1);
    const random = own === null ? common : new Generator(own);
    const data = new Float32Array(n);
    if (value === null) for (let i = 0; i < n; i++) data[i] = random.uniform(low, high);
    else data.fill(value);
    made.set(key, { shape, data });
  }
  return made;
}

// Why the page cannot draw new weights, or "".
export function obstacleToNew(initial) {
  const other = Object.entries(initial).find(([, { kind }]) => kind);
  return other
    ? `The page can draw only uniform numbers, and ${other[0]} starts from ${other[1].kind}.`
    : "";
}
