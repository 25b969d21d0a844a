// @ts-check
// Places in arrays: as text, clamped to bounds, and moved to an array of another size.
import { layerWindow, place } from "page/engine/windows.js";
import { words } from "page/words.js";

// `word`: what an entry of a row of numbers is, "unit" or "number"; `map`: the name of the map.
export const placeText = (at, word = "number", map = words("word.map_k", { k: at[2] })) =>
  at.length === 3
    ? `${pixelText(at)}, ${map}`
    : at.length === 1
      ? words(`word.${word}_k`, { k: at[0] })
      : words("place.of_axes", { at: at.join(", ") });

// The same without the map.
export const pixelText = (at) => words("place.pixel", { row: at[0], column: at[1] });

// The corresponding place in a map that has another size now.
export const sameSpot = (at, from, to) =>
  clampAt(
    to.map((n, i) => Math.floor(((at[i] ?? 0) * n) / (from[i] ?? n))),
    to,
  );

export const clampAt = (at, shape) => at.map((v, i) => Math.max(0, Math.min(shape[i] - 1, v)));

export function startPixel(net, id, at, x, channel) {
  if (x.shape.length !== 3) return [0, ...Array(x.shape.length - 1).fill(0)];
  const w = net.nodes[id].known ? layerWindow(net.layer(id), x.shape) : null;
  const centre = w
    ? [0, 1].map((a) => place(w, a, at[a], w.kernel[a] >> 1))
    : at.length === 3
      ? at
      : [x.shape[0] >> 1, x.shape[1] >> 1];
  return clampAt([centre[0], centre[1], channel ?? Math.min(at.at(-1), x.shape[2] - 1)], x.shape);
}
