// @ts-check
// How different two arrays of one shape are.
import { array } from "page/engine/arrays.js";

// b − a, number by number.
export const difference = (a, b) =>
  array(
    a.shape,
    Float64Array.from(b.data, (v, i) => v - a.data[i]),
  );

// ‖b − a‖ / (‖a‖ + ‖b‖) for all numbers, and for those of each map: 0 if they are equal, 1 if they
// are opposite or if one of the two is zero everywhere.
export function distances(a, b) {
  const maps = a.shape.at(-1);
  const [apart, first, second] = [0, 0, 0].map(() => new Float64Array(maps));
  for (let i = 0; i < a.data.length; i++) {
    const k = i % maps;
    apart[k] += (b.data[i] - a.data[i]) ** 2;
    first[k] += a.data[i] ** 2;
    second[k] += b.data[i] ** 2;
  }
  const sum = (v) => v.reduce((s, w) => s + w, 0);
  const ratio = (d, p, q) => (p + q > 0 ? Math.sqrt(d) / (Math.sqrt(p) + Math.sqrt(q)) : 0);
  return {
    all: ratio(sum(apart), sum(first), sum(second)),
    maps: Array.from(apart, (d, k) => ratio(d, first[k], second[k])),
    apart: Array.from(apart, Math.sqrt),
  };
}

// ‖a‖, ‖b‖ and ‖b − a‖.
export function norms(a, b) {
  const length = (at) => Math.sqrt(a.data.reduce((s, _, i) => s + at(i) ** 2, 0));
  return {
    a: length((i) => a.data[i]),
    b: length((i) => b.data[i]),
    change: length((i) => b.data[i] - a.data[i]),
  };
}
