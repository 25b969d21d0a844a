// @ts-check
// Windows over rows and columns: where each tap of a kernel or a pooling window lies.
import { words } from "page/words.js";

// The kinds of layers, which kinds/table.js tells of: it imports those that import this module.
const KNOWN = {};
export const tellKinds = (kinds) => Object.assign(KNOWN, kinds);

// The geometry of a window over (height, width); "same" puts an odd zero below and to the right.
export function windowOf(shape, kernel, strides, padding, dilation = [1, 1]) {
  const out = [];
  const before = [];
  for (const a of [0, 1]) {
    const extent = (kernel[a] - 1) * dilation[a] + 1;
    if (padding === "same") {
      out[a] = Math.ceil(shape[a] / strides[a]);
      before[a] = Math.max((out[a] - 1) * strides[a] + extent - shape[a], 0) >> 1;
    } else {
      out[a] = Math.floor((shape[a] - extent) / strides[a]) + 1;
      before[a] = 0;
    }
    if (out[a] < 1) {
      throw new Error(
        words("page.window_too_large", {
          kh: kernel[0],
          kw: kernel[1],
          rows: shape[0],
          columns: shape[1],
        }),
      );
    }
  }
  return { kernel, strides, dilation, before, out };
}

// Input row (axis 0) or column (axis 1) of tap `i` at output position `o`; may lie outside.
export const place = (w, axis, o, i) => o * w.strides[axis] + i * w.dilation[axis] - w.before[axis];

// The output position whose tap `i` reads input position `p`; -1 if there is none.
export function placeBack(w, axis, p, i) {
  const moved = p + w.before[axis] - i * w.dilation[axis];
  const o = moved / w.strides[axis];
  return moved >= 0 && Number.isInteger(o) && o < w.out[axis] ? o : -1;
}

// Calls visit(input offset, output offset, tap) for each tap that meets a real pixel. Offsets count
// pixels. `rows`: [first, end) of the output's rows.
export function taps(w, shape, visit, rows = [0, w.out[0]]) {
  const [height, width] = shape;
  const [kh, kw] = w.kernel;
  for (let oy = rows[0]; oy < rows[1]; oy++) {
    for (let i = 0; i < kh; i++) {
      const iy = place(w, 0, oy, i);
      if (iy < 0 || iy >= height) continue;
      for (let ox = 0; ox < w.out[1]; ox++) {
        for (let j = 0; j < kw; j++) {
          const ix = place(w, 1, ox, j);
          if (ix < 0 || ix >= width) continue;
          visit(iy * width + ix, oy * w.out[1] + ox, i * kw + j);
        }
      }
    }
  }
}

// Splits the output's rows into parts [first, end) of some 10 million products, a moment each.
export function* rowParts(w, cost) {
  const step = Math.max(1, Math.floor(1e7 / (cost * w.out[1])));
  for (let row = 0; row < w.out[0]; row += step) yield [row, Math.min(row + step, w.out[0])];
}

// The window of a layer, or null if the layer has none.
export const layerWindow = (layer, shape) =>
  KNOWN[layer.type]?.window?.(layer.config, shape) ?? null;
