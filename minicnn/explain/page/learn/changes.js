// @ts-check
// Random changes of a batch of images in training. They draw as minicnn does, from the same
// generator, in the same order. A change is
//
//   draw({layer, xs, random})          what is random, of the whole batch
//   change({layer, xs, drawn})         {ys, kept}
//   back({layer, dys, drawn, kept})    dxs
import { array } from "page/engine/arrays.js";

const { fround } = Math;

export const rounded = (shape, data) => array(shape, Float32Array.from(data));

// A number between the limits for each image.
/** @type {(xs: any[], random: any, limits: number[]) => number[]} */
export const uniforms = (xs, random, [low, high]) =>
  xs.map(() => fround(random.uniform(low, high)));

// A change as a kind of learn/training.js.
export const inTraining = ({ draw, change, back }) => ({
  forward({ layer, xs, random }) {
    const drawn = draw({ layer, xs, random });
    const { ys, kept } = change({ layer, xs, drawn });
    return { ys, kept: { drawn, kept } };
  },
  backward: ({ layer, dys, kept }) => ({ dxs: back({ layer, dys, ...kept }), grads: {} }),
});

// -- colours within a range -----------------------------------------------------------------------

export const clipped = (z, [low, high]) =>
  rounded(
    z.shape,
    z.data.map((v) => Math.min(Math.max(v, low), high)),
  );

export const inside = (dy, z, [low, high]) =>
  array(
    dy.shape,
    Float64Array.from(dy.data, (v, i) => (z.data[i] >= low && z.data[i] <= high ? v : 0)),
  );

// A function that stretches numbers of one range to another one.
/** @type {(from: number[], to: number[]) => (v: number) => number} */
export const stretch = ([first, last], [low, high]) => {
  if (first === low && last === high) return (v) => v;
  const [from, size, by, to] = [first, last - first, high - low, low].map(fround);
  return (v) => fround(fround(fround(fround(v - from) / size) * by) + to);
};

// -- in some images, or in a part of each ---------------------------------------------------------

// Whether each image is to be changed, with a probability that is drawn, too.
export function chosen(xs, random, limits) {
  const drawn = xs.map(() => random.random32());
  const least = uniforms(xs, random, limits);
  return drawn.map((v, n) => v < least[n]);
}

// For each image a function that says whether a row or column is among `cut` of `length` that lie
// at a random place.
export function stretches(cuts, random, length) {
  const starts = cuts.map((cut) => fround(random.random32() * fround(length - cut)));
  return cuts.map((cut, n) => {
    const end = fround(starts[n] + cut);
    return (place) => place >= starts[n] && place < end;
  });
}

// Whether a number of an image lies in a rectangle of such rows and columns.
export function within([, width, channels], rows, columns) {
  return (i) => {
    const pixel = Math.floor(i / channels);
    return rows(Math.floor(pixel / width)) && columns(pixel % width);
  };
}
