// @ts-check
// Passes of the network on other images than the one of the page, or with other weights.
import { array } from "page/engine/arrays.js";
import { backwardAsync, forwardAsync } from "page/engine/passes.js";
import { breathe } from "page/net.js";

// The layers that a layer depends on, and itself, inputs first.
export function ancestors(net, id) {
  const found = new Set([id]);
  for (let n = id; n >= 0; n--) {
    if (found.has(n)) for (const input of net.nodes[n].inputs) found.add(input);
  }
  return [...found].sort((a, b) => a - b);
}

// Among these layers, those that depend on any of `ids`.
export function descendants(net, chain, ids) {
  const found = new Set(ids);
  return chain.filter((n) => {
    const depends = net.nodes[n].inputs.some((input) => found.has(input));
    if (depends) found.add(n);
    return depends;
  });
}

/**
 * What a map has for a layer, which runs after the layers that it reads.
 *
 * @template T
 * @param {Map<number, T>} found
 * @param {number} id
 */
const of = (found, id) => /** @type {T} */ (found.get(id));

/**
 * The outputs of all layers in `chain` for the image x; `layerOf` may change weights.
 * @param {any} net
 * @param {number[]} chain
 * @param {Tensor} x
 * @param {(n: number) => Layer} layerOf
 * @returns {Promise<Map<number, Output>>}
 */
export async function forwardTo(net, chain, x, layerOf = (n) => net.layer(n)) {
  const outs = new Map([[0, /** @type {Output} */ ({ y: x, z: x })]]);
  for (const n of chain.slice(1)) {
    const xs = net.nodes[n].inputs.map((k) => of(outs, k).y);
    outs.set(n, await forwardAsync(layerOf(n), xs, breathe));
  }
  return outs;
}

/**
 * The gradients of what the layers in `chain` read, given that of layer `id`: `before` its
 * activation or behind it.
 * @param {any} net
 * @param {number[]} chain
 * @param {number} id
 * @param {Map<number, Output>} outs
 * @param {Tensor} gradient
 * @param {(n: number) => Layer} layerOf
 * @param {boolean} before
 * @returns {Promise<Map<number, Tensor>>}
 */
export async function backwardFrom(
  net,
  chain,
  id,
  outs,
  gradient,
  layerOf = (n) => net.layer(n),
  before = true,
) {
  const got = new Map([[id, gradient]]);
  for (const k of [...chain].reverse()) {
    if (k === 0 || !got.has(k)) continue;
    const { inputs } = net.nodes[k];
    const xs = inputs.map((i) => of(outs, i).y);
    const dz = k === id && before ? got.get(k) : undefined;
    const passed = await backwardAsync(breathe, layerOf(k), xs, of(outs, k), of(got, k), dz);
    inputs.forEach((i, j) => {
      const old = got.get(i);
      const dx = passed.dxs[j];
      const sum = old && Float64Array.from(dx.data, (v, o) => v + old.data[o]);
      got.set(i, sum ? array(dx.shape, sum) : dx);
    });
    await breathe();
  }
  return got;
}
