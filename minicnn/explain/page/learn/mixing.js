// @ts-check
// Images that are mixed with others of their batch: see learn/changes.js. The labels stay as they
// are, as in a model that has such a layer.
import { array } from "page/engine/arrays.js";
import { beta } from "page/learn/beta.js";
import { stretches, within } from "page/learn/changes.js";

const { fround } = Math;

// `shares` says how much of each number comes from the image itself; the rest is the other image's.
const change = ({ xs, drawn: { order, shares } }) => ({
  ys: xs.map((x, n) => {
    const other = xs[order[n]].data;
    const one = (v, i) => {
      const share = shares[n](i);
      return fround(share * v) + fround(fround(1 - share) * other[i]);
    };
    return array(x.shape, Float32Array.from(x.data, one));
  }),
  kept: null,
});

function back({ dys, drawn: { order, shares } }) {
  const dxs = dys.map((dy, n) =>
    array(
      dy.shape,
      Float64Array.from(dy.data, (v, i) => shares[n](i) * v),
    ),
  );
  dys.forEach((dy, n) => {
    const { data } = dxs[order[n]];
    dy.data.forEach((v, i) => (data[i] += (1 - shares[n](i)) * v));
  });
  return dxs;
}

const MixUp = {
  draw({ layer, xs, random }) {
    const order = random.permutation(xs.length);
    const ws = xs.map(() => fround(beta(random, layer.config.alpha)));
    return { order, shares: ws.map((w) => () => w) };
  },
  change,
  back,
};

const CutMix = {
  draw({ layer, xs, random }) {
    const { shape } = xs[0];
    const alpha = random.uniform(...layer.config.factor) + 1e-6;
    const sides = xs.map(() => fround(Math.sqrt(1 - beta(random, alpha))));
    const [columns, rows] = [shape[1], shape[0]].map((length) =>
      stretches(
        sides.map((side) => fround(side * length)),
        random,
        length,
      ),
    );
    const pasted = xs.map((_, n) => within(shape, rows[n], columns[n]));
    const order = random.permutation(xs.length);
    return { order, shares: pasted.map((there) => (i) => (there(i) ? 0 : 1)) };
  },
  change,
  back,
};

export const MIXING = { MixUp, CutMix };
