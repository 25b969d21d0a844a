// @ts-check
// Transposed convolutions: a convolution from y to x, run backward.
import { array, biasGradient, offsetOf, pair } from "page/engine/arrays.js";
import { activate, activationOf } from "page/engine/functions.js";
import { place } from "page/engine/windows.js";
import { biasAt, sumOf, weightAt, windowTaps, withActivation } from "page/explain/terms.js";
import { convolved, convolutionBackward, tapsBack, windowsBack } from "page/kinds/convolutions.js";
import { words } from "page/words.js";

// The window that slides over the output, and the output's rows and columns.
function stamps(c, shape) {
  const [kernel, strides, dilation] = [c.kernel_size, c.strides, c.dilation_rate].map(pair);
  const more = c.output_padding ? pair(c.output_padding) : null;
  const before = [];
  const size = [];
  for (const a of [0, 1]) {
    const extent = (kernel[a] - 1) * dilation[a] + 1;
    const whole = (shape[a] - 1) * strides[a] + extent;
    if (c.padding === "same") {
      const fixed = (shape[a] - 1) * strides[a] + (extent % 2);
      size[a] = more ? fixed + more[a] : shape[a] * strides[a];
      before[a] = Math.max(whole - size[a], 0) >> 1;
    } else {
      size[a] = whole + (more ? more[a] : Math.max(strides[a] - extent, 0));
      before[a] = 0;
    }
    if (size[a] < 1) {
      throw new Error(words("page.nothing_left", { rows: shape[0], columns: shape[1] }));
    }
  }
  return { w: { kernel, strides, dilation, before, out: shape.slice(0, 2) }, size };
}

function* forwardConv2DTranspose({ layer, x, p, c }) {
  const { w, size } = stamps(c, x.shape);
  const zeros = array([...size, p.kernel.shape[2]]);
  const z = (yield* convolutionBackward(x, zeros, p.kernel, w, 1)).dx;
  if (p.bias) {
    const filters = p.bias.shape[0];
    z.data.forEach((v, o) => {
      z.data[o] = v + p.bias.data[o % filters];
    });
  }
  return { z, y: activate(activationOf(layer), z), h: null };
}

function* backwardConv2DTranspose({ x, p, c, dz }) {
  const { w } = stamps(c, x.shape);
  const dx = yield* convolved(dz, p.kernel, w);
  const grads = { kernel: (yield* convolutionBackward(x, dz, p.kernel, w, 1)).dk };
  if (p.bias) grads.bias = biasGradient(dz);
  return { dxs: [dx], grads };
}

function explainConv2DTranspose({ layer, x, at, last, p, c }) {
  const { w } = stamps(c, x.shape);
  const [, , filters, channels] = p.kernel.shape;
  const groups = Array.from({ length: channels }, (_, k) => {
    const taps = tapsBack(w, at, x.data, channels, k, (tap) =>
      weightAt(p.kernel, tap * filters + last, k),
    );
    return { channel: k, taps, sum: sumOf(taps) };
  });
  const grid = w.kernel;
  const found = { form: "window", stamped: true, grid, groups, total: sumOf(groups, "sum") };
  return withActivation(layer, found, biasAt(layer, last));
}

function explainInputConv2DTranspose({ x, k, dz, p, c, at }) {
  const { w } = stamps(c, x.shape);
  const filters = p.kernel.shape[2];
  return windowsBack(
    w,
    Array.from({ length: filters }, (_, o) => {
      const taps = windowTaps(w, dz, at[0], at[1], o, (tap) =>
        weightAt(p.kernel, tap * filters + o, k),
      );
      return { channel: o, taps, sum: sumOf(taps) };
    }),
  );
}

// The terms of the gradient of the weight [i, j, filter, channel]: a pixel of x times the gradient
// where this weight put it.
function transposedWeight({ layer, x, at, dz, add }) {
  const { w } = stamps(layer.config, x.shape);
  for (let row = 0; row < w.out[0]; row++) {
    for (let col = 0; col < w.out[1]; col++) {
      const to = [place(w, 0, row, at[0]), place(w, 1, col, at[1]), at[2]];
      if (to[0] < 0 || to[0] >= dz.shape[0] || to[1] < 0 || to[1] >= dz.shape[1]) continue;
      const input = x.data[offsetOf(x.shape, [row, col, at[3]])];
      add(to[0] * dz.shape[1] + to[1], input, dz.data[offsetOf(dz.shape, to)], row, col);
    }
  }
}

export const Conv2DTranspose = {
  backward: backwardConv2DTranspose,
  explain: explainConv2DTranspose,
  explainInput: explainInputConv2DTranspose,
  forward: forwardConv2DTranspose,
  weights: { kernel: transposedWeight },
  reads: (layer, box, shape) => {
    const { w } = stamps(layer.config, shape);
    return [0, 1].flatMap((a) => [
      Math.ceil((box[2 * a] + w.before[a] - (w.kernel[a] - 1) * w.dilation[a]) / w.strides[a]),
      Math.floor((box[2 * a + 1] + w.before[a]) / w.strides[a]),
    ]);
  },
  fills: (layer, box, shape) => {
    const { w } = stamps(layer.config, shape);
    return [0, 1].flatMap((a) => [
      (box[2 * a] - 1) * w.strides[a] + (w.kernel[a] - 1) * w.dilation[a] + 1 - w.before[a],
      (box[2 * a + 1] + 1) * w.strides[a] - 1 - w.before[a],
    ]);
  },
};
