// @ts-check
// One layer forward and backward, for one example: the arithmetic of the page.
//
// Sums run in float64. A layer is {type, config, params}: Keras's class name, arguments and
// weights; kinds/ defines what its class computes.
//
//   forward(layer, xs)             {y, z}      z: before the activation
//   backward(layer, xs, out, dy)   {dxs, grads, dz}
import { rounded } from "page/engine/arrays.js";
import { SCALAR } from "page/engine/curves.js";
import { activateBackward, activationOf } from "page/engine/functions.js";
import { KINDS } from "page/kinds/table.js";
import { words } from "page/words.js";

function finish(out) {
  return { z: out.z, h: out.h, y: rounded(out.y) };
}

function atOnce(parts) {
  for (;;) {
    const { done, value } = parts.next();
    if (done) return value;
  }
}

async function inParts(parts, breathe) {
  for (;;) {
    const { done, value } = parts.next();
    if (done) return value;
    await breathe();
  }
}

/**
 * @param {Layer} layer
 * @param {Tensor[]} xs
 * @returns {Output}
 */
export const forward = (layer, xs) => finish(atOnce(forwardParts(layer, xs)));

/**
 * @param {Layer} layer
 * @param {Tensor[]} xs
 * @param {() => Promise<void>} breathe
 * @returns {Promise<Output>}
 */
export const forwardAsync = async (layer, xs, breathe) =>
  finish(await inParts(forwardParts(layer, xs), breathe));

/**
 * Whether the activation's slope needs z, because it does not show in y.
 * @param {Layer} layer
 */
export const needsZ = (layer) => Boolean(SCALAR[activationOf(layer)]?.ofInput);

/**
 * d loss / d z, before the activation.
 * @param {Layer} layer
 * @param {Output} out
 * @param {Tensor} dy
 * @returns {Tensor}
 */
export function throughActivation(layer, out, dy) {
  if (layer.type === "ReLU") return dy;
  const name = activationOf(layer);
  return name === "linear" ? dy : activateBackward(name, dy, out.z ?? out.y, out.y);
}

/**
 * `out` is what forward gave; z may be missing where the activation's slope shows in y.
 * @param {[layer: Layer, xs: Tensor[], out: Output, dy: Tensor, dz?: Tensor]} given
 */
export const backward = (...given) => atOnce(backwardParts(...given));

/**
 * @param {() => Promise<void>} breathe
 * @param {[layer: Layer, xs: Tensor[], out: Output, dy: Tensor, dz?: Tensor]} given
 */
export const backwardAsync = (breathe, ...given) => inParts(backwardParts(...given), breathe);

/**
 * Whether a kind works in parts, between which the browser can respond: then its function is a
 * generator.
 * @template T
 * @param {T | Generator<void, T>} found
 * @returns {found is Generator<void, T>}
 */
function isInParts(found) {
  return typeof (/** @type {any} */ (found).next) === "function";
}

/**
 * @param {Layer} layer
 * @param {Tensor[]} xs
 * @returns {Generator<void, Output>}
 */
function* forwardParts(layer, xs) {
  const kind = KINDS[layer.type];
  if (!kind) throw new Error(words("page.no_layer", { type: layer.type }));
  const found = kind.forward({ layer, xs, x: xs[0], p: layer.params, c: layer.config });
  if (isInParts(found)) return yield* found;
  yield;
  return found;
}

/**
 * @param {Layer} layer
 * @param {Tensor[]} xs
 * @param {Output} out
 * @param {Tensor} dy
 * @returns {Generator<void, Gradients>}
 */
function* backwardParts(layer, xs, out, dy, dz = throughActivation(layer, out, dy)) {
  const kind = KINDS[layer.type];
  if (!kind) throw new Error(words("page.no_gradient", { type: layer.type }));
  const given = { layer, xs, x: xs[0], p: layer.params, c: layer.config, out, dy, dz };
  const found = kind.backward(given);
  return { ...(isInParts(found) ? yield* found : found), dz };
}
