// @ts-check
// The images of arrays in a view.
import {
  COLOURS,
  colourPicture,
  h,
  mapPicture,
  penOf,
  screen_,
  topOf,
  vectorPicture,
  vectorShape,
} from "page/draw.js";
import { offsetOf, size, unravel } from "page/engine/arrays.js";
import { placeText } from "page/views/spots.js";
import { words } from "page/words.js";

// How an array of this shape is laid out: {rows, columns, channels,
// at(row, col, channel), place(at)}.
export function layout(shape) {
  if (shape.length === 3) {
    const [rows, columns, channels] = shape;
    return { rows, columns, channels, map: true, at: (r, c, k) => [r, c, k], place: (at) => at };
  }
  const n = size(shape);
  const [rows, columns] = shape.length === 2 ? shape : vectorShape(n);
  return {
    rows,
    columns,
    channels: 1,
    map: false,
    at: (r, c) => unravel(shape, Math.min(r * columns + c, n - 1)),
    place: (at) => [Math.floor(offsetOf(shape, at) / columns), offsetOf(shape, at) % columns, 0],
  };
}

const tops = new WeakMap();

export function topFor(a) {
  if (!tops.has(a.data)) tops.set(a.data, topOf(a.data));
  return tops.get(a.data);
}

export function picture(net, id, a, channel, top = topFor(a)) {
  if (a.shape.length !== 3) return vectorPicture(a.data, top);
  if (id === 0 && channel === -1) return colourPicture(a, net.range);
  return mapPicture(a, channel, top);
}

// The network's input as one image.
export const inputPicture = (net, x) => picture(net, 0, x, isPhoto(net, 0) ? -1 : 0);

// Draws a canvas when it comes into sight.
const watcher = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      watcher.unobserve(entry.target);
      /** @type {any} */ (entry.target).paint?.();
    }
  },
  { rootMargin: "200px" },
);

export function lazyPicture(make, attributes = {}) {
  const canvas = h("canvas", { "aria-hidden": "true", ...attributes });
  canvas.paint = () => {
    const source = make();
    if (!source) return;
    canvas.width = source.width;
    canvas.height = source.height;
    penOf(canvas).drawImage(source, 0, 0);
  };
  if (screen_.printing) canvas.paint();
  else watcher.observe(canvas);
  return canvas;
}

// The name of a map: those of a photo are its colours.
export const mapName = (net, id, k) => colourName(net, id, k) || words("word.map_k", { k });

// The same in a few characters: a colour, or the number of the map.
export const shortMapName = (net, id, k) => colourName(net, id, k) || String(k);

const colourName = (net, id, k) =>
  isPhoto(net, id) && net.nodes[id].shape[2] === 3 ? words(`word.${COLOURS[k]}`) : "";

// The place of a number in a layer's output, in words.
export const placeIn = (net, id, at) => placeText(at, net.unitWord(id), mapName(net, id, at[2]));

export const isPhoto = (net, id) => id === 0 && [1, 3].includes(net.nodes[0].shape[2]);
