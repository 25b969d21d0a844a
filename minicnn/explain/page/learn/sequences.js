// @ts-check
// Several random changes one after the other: those of a layer's parts. See learn/changes.js.
import { backward, forward } from "page/engine/passes.js";
import { COLOURS } from "page/learn/colours.js";
import { DETAILS } from "page/learn/details.js";
import { HUES } from "page/learn/hues.js";
import { WARPS } from "page/learn/warps.js";

// A layer that is not random, image by image.
const AutoContrast = {
  draw: () => null,
  change({ layer, xs }) {
    const outs = xs.map((x) => forward(layer, [x]));
    return { ys: outs.map((out) => out.y), kept: { xs, outs } };
  },
  back: ({ layer, dys, kept: { xs, outs } }) =>
    dys.map((dy, n) => backward(layer, [xs[n]], outs[n], dy).dxs[0]),
};

const PARTS = { ...WARPS, ...COLOURS, ...HUES, ...DETAILS, AutoContrast };

// What every part draws: steps, each a part and its numbers.
const drawnBy = ({ layer, xs, random }) =>
  layer.parts.map((part) => ({
    part: { ...part, params: {} },
    drawn: PARTS[part.type].draw({ layer: part, xs, random }),
  }));

function change({ xs, drawn: steps }) {
  let ys = xs;
  const kept = steps.map(({ part, drawn }) => {
    const found = PARTS[part.type].change({ layer: part, xs: ys, drawn });
    ys = found.ys;
    return found.kept;
  });
  return { ys, kept };
}

const back = ({ dys, drawn: steps, kept }) =>
  steps.reduceRight(
    (dxs, { part, drawn }, n) =>
      PARTS[part.type].back({ layer: part, dys: dxs, drawn, kept: kept[n] }),
    dys,
  );

const RandomColorJitter = { draw: drawnBy, change, back };

const RandAugment = {
  draw({ layer, xs, random }) {
    const { num_ops: count } = layer.config;
    const numbers = Array.from({ length: count }, () => random.integer(layer.parts.length - 1));
    const all = drawnBy({ layer, xs, random });
    return numbers.map((n) => all[n]);
  },
  change,
  back,
};

export const SEQUENCES = { RandomColorJitter, RandAugment };
