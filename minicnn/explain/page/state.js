// @ts-check
// What the user looks at, apart from how it is drawn.
import { unravel } from "page/engine/arrays.js";
import { clampAt } from "page/views/spots.js";

/** @returns {Record<string, any>} */
export function newState() {
  return {
    view: "overview",
    mode: "forward",
    node: 0,
    at: null,
    inAt: null,
    which: 0,
    inChannel: null,
    outChannel: null,
    tab: "number",
    term: null,
    weight: null,
    pixel: null,
    more: 3,
    playing: false,
    speed: 3,
    open: new Set(),
    formula: false, // whether the layer's formula is shown
    heat: null, // what the heat maps are of, see views/heat.js
    busy: "",
    notice: "", // what the page could not do
    other: null, // the photo to compare with
    rival: null, // the network to compare with; null: the same one, with the other photo
  };
}

export const isBackward = (state) => state.mode === "backward";

// The node whose output is the chosen input of the chosen layer.
export const sourceNode = (net, state) =>
  net.nodes[state.node].inputs[state.which] ?? net.nodes[state.node].inputs[0];

// The array that contains the chosen number.
export function looked(net, state) {
  if (state.view !== "layer") return null;
  return isBackward(state) ? net.dy(sourceNode(net, state)) : net.y(state.node);
}

export const chosenAt = (state) => (isBackward(state) ? state.inAt : state.at);

export function choose(state, at) {
  if (isBackward(state)) state.inAt = at;
  else state.at = at;
}

/**
 * The place with the largest number, in this channel or in all.
 *
 * @param {Tensor | null} a
 * @param {boolean} signed
 * @param {number | null} channel
 * @param {number[] | null | undefined} kept the maps whose kernels are in the page
 * @param {(number[] | null)[]} boxes where to look first, [first row, last row, first column, last
 * column]; a place at the border says more about the padding than about the image
 */
function strongestCell(a, signed, channel = null, kept = null, boxes = []) {
  if (!a) return null;
  const channels = a.shape[a.shape.length - 1];
  const columns = a.shape[1];

  const here = kept && channel === null ? new Set(kept) : null;
  const within = (box, p) =>
    !box ||
    (p >= box[0] * columns &&
      p < (box[1] + 1) * columns &&
      p % columns >= box[2] &&
      p % columns <= box[3]);
  for (const box of [...(a.shape.length === 3 ? boxes.filter(Boolean) : []), null]) {
    let best = -1;
    let most = -Infinity;
    for (
      let o = channel ?? 0;
      o < a.data.length;
      o += channel === null || a.shape.length !== 3 ? 1 : channels
    ) {
      const v = signed ? Math.abs(a.data[o]) : a.data[o];
      if (v > most && (!here || here.has(o % channels)) && within(box, Math.floor(o / channels))) {
        most = v;
        best = o;
      }
    }
    if (most > 0 || !box) return unravel(a.shape, Math.max(best, 0));
  }
}

/**
 * Chooses a number to begin with, in the map `channel` if given.
 *
 * @param {Net} net
 * @param {any} state
 * @param {number | null} channel
 */
export function settle(net, state, channel = null) {
  const node = net.nodes[state.node];
  if (state.which >= node.inputs.length) state.which = 0;
  const y = net.y(state.node);
  const dx = isBackward(state) ? net.dy(sourceNode(net, state)) : null;
  if (channel !== null && channel < 0) channel = 0;
  const map = (a) =>
    a?.shape.length === 3 && channel !== null ? Math.min(channel, a.shape[2] - 1) : null;
  const kept = Object.values(node.params).find((p) => p.kept)?.kept;
  if (!isBackward(state) && y && state.node === 0) {
    state.at = y.shape.map((n, axis) => (axis < y.shape.length - 1 ? n >> 1 : (channel ?? 0)));
  } else if (!isBackward(state) && y) {
    state.at = strongestCell(y, false, map(y), kept, [
      net.innerCells(state.node, true),
      net.innerCells(state.node, false),
    ]);
  } else {
    state.at =
      state.at && y
        ? clampAt(
            y.shape.map((_, i) => state.at[i] ?? 0),
            y.shape,
          )
        : node.shape.map(() => 0);
  }
  if (isBackward(state)) {
    const source = sourceNode(net, state);
    const boxes = source === undefined ? [] : [net.readCells(state.node, source)];
    state.inAt =
      strongestCell(dx, true, map(dx), null, boxes) ?? net.shape(source ?? 0).map(() => 0);
  }
  state.inChannel = state.outChannel = state.term = state.pixel = null;
}
