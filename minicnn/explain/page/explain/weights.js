// @ts-check
// The terms of the gradient of one weight.
import { offsetOf } from "page/engine/arrays.js";
import { layerWindow } from "page/engine/windows.js";
import { sumOf } from "page/explain/terms.js";
import { KINDS } from "page/kinds/table.js";

// The terms {row, col, xrow, xcol, input, dz, product} of the gradient of the weight at `at`; null
// if the page lacks the numbers for them.
export function explainWeight(net, id, name, at) {
  const node = net.nodes[id];
  const layer = net.layer(id);
  const x = net.inputs(id)[0];
  const dz = net.dz(id);
  if (!dz || !x) return null;
  const units = dz.shape.at(-1);
  const last = at.at(-1);
  const n = dz.data.length / units;
  const terms = [];
  const width = dz.shape.length === 3 ? dz.shape[1] : 1;
  const add = (o, input, d, row, col) =>
    terms.push({
      row: Math.floor(o / width),
      col: o % width,
      xrow: row,
      xcol: col,
      input,
      dz: d,
      product: input * d,
    });
  const w = layerWindow(layer, x.shape);
  const given = {
    layer,
    x,
    p: layer.params,
    at,
    w,
    dz,
    dy: net.dy(id),
    units,
    last,
    n,
    width,
    add,
  };
  /** @type {((given: any) => unknown) | undefined} */
  const addTerms = name === "bias" ? biasTerms : KINDS[node.type].weights?.[name];
  if (!addTerms || addTerms(given) === false) return null;
  const total = sumOf(terms);
  const stored = net.storedWeightGradient(id, name);
  const shape = net.nodes[id].params[name].shape;
  return { node, name, at, terms, total, real: stored ? stored[offsetOf(shape, at)] : NaN };
}

function biasTerms({ dz, units, last, n, add }) {
  for (let o = 0; o < n; o++) add(o, 1, dz.data[o * units + last]);
}
