// @ts-check
// An array is {shape, data}: the shape without the batch, numbers in reading order.

export const size = (shape) => shape.reduce((a, b) => a * b, 1);

export const array = (shape, data) => ({ shape, data: data ?? new Float64Array(size(shape)) });

export const rounded = (a) => ({ shape: a.shape, data: new Float32Array(a.data) });

export const pair = (v) => (Array.isArray(v) ? v : [v, v]);

// A loop: `Float64Array.from(data, f)` takes several times as long.
export function map(x, f) {
  const y = array(x.shape);
  for (let i = 0; i < x.data.length; i++) y.data[i] = f(x.data[i], i);
  return y;
}

// The offset of a place in reading order, and (unravel) the place of an offset.
export const offsetOf = (shape, at) => at.reduce((o, v, i) => o * shape[i] + v, 0);

export const unravel = (shape, o) => {
  const at = [];
  for (let i = shape.length - 1; i >= 0; i--) {
    at[i] = o % shape[i];
    o = Math.floor(o / shape[i]);
  }
  return at;
};

// The sum of an array's numbers for each unit or channel: the gradient of a bias.
export function biasGradient(dz) {
  const units = dz.shape.at(-1);
  const db = array([units]);
  for (let i = 0; i < dz.data.length; i++) db.data[i % units] += dz.data[i];
  return db;
}
