// @ts-check
// Numbers of a beta distribution with twice the same parameter, as NumPy draws them.
import { normal } from "page/learn/normal.js";

// Of a gamma distribution, for a shape above 1 (Marsaglia and Tsang 2000).
function gamma(random, shape) {
  const b = shape - 1 / 3;
  const c = 1 / Math.sqrt(9 * b);
  for (;;) {
    const x = normal(random);
    const v = (1 + c * x) ** 3;
    if (v <= 0) continue;
    const u = random.random();
    if (u < 1 - 0.0331 * x ** 4) return b * v;
    if (Math.log(u) < 0.5 * x * x + b * (1 - v + Math.log(v))) return b * v;
  }
}

// `beta(alpha, alpha)`: by the roots of two numbers if alpha is at most 1 (Jöhnk 1964).
export function beta(random, alpha) {
  if (alpha > 1) {
    const first = gamma(random, alpha);
    return first / (first + gamma(random, alpha));
  }
  for (;;) {
    const [u, v] = [random.random(), random.random()];
    const [x, y] = [u ** (1 / alpha), v ** (1 / alpha)];
    if (x + y > 1 || u + v === 0) continue;
    if (x > 0 && y > 0) return x / (x + y);
    return 1 / (1 + Math.exp((Math.log(v) - Math.log(u)) / alpha)); // too small a number to divide
  }
}
