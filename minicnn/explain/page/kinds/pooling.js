// @ts-check
// Pooling: the maximum or the mean of a window or of a whole map.
import { array, offsetOf, pair } from "page/engine/arrays.js";
import { layerWindow, placeBack, taps, windowOf } from "page/engine/windows.js";
import { sumOf, windowTaps } from "page/explain/terms.js";
import { words } from "page/words.js";

function poolForward(layer, x) {
  const w = layerWindow(layer, x.shape);
  const channels = x.shape[2];
  const max = layer.type === "MaxPooling2D";
  const y = array([...w.out, channels]);
  const count = new Int32Array(w.out[0] * w.out[1]);
  if (max) y.data.fill(-Infinity);
  taps(w, x.shape, (from, to) => {
    count[to]++;
    for (let c = 0; c < channels; c++) {
      const v = x.data[from * channels + c];
      const o = to * channels + c;
      if (!max) y.data[o] += v;
      else if (v > y.data[o]) y.data[o] = v;
    }
  });
  if (!max) for (let o = 0; o < y.data.length; o++) y.data[o] /= count[(o / channels) | 0];
  return { y, w, count };
}

function poolBackward(layer, x, dy) {
  const { y, w, count } = poolForward(layer, x);
  const channels = x.shape[2];
  const dx = array(x.shape);
  const taken = new Uint8Array(dy.data.length);
  taps(w, x.shape, (from, to) => {
    for (let c = 0; c < channels; c++) {
      const i = from * channels + c;
      const o = to * channels + c;
      if (layer.type !== "MaxPooling2D") dx.data[i] += dy.data[o] / count[to];
      else if (!taken[o] && x.data[i] === y.data[o]) {
        taken[o] = 1; // of equal ones the first in reading order gets it all
        dx.data[i] += dy.data[o];
      }
    }
  });
  return dx;
}

function globalPool(layer, x) {
  const [height, width, channels] = x.shape;
  const n = height * width;
  const max = layer.type === "GlobalMaxPooling2D";
  const y = array([channels], new Float64Array(channels).fill(max ? -Infinity : 0));
  for (let i = 0; i < x.data.length; i++) {
    const c = i % channels;
    y.data[c] = max ? Math.max(y.data[c], x.data[i]) : y.data[c] + x.data[i] / n;
  }
  return layer.config.keepdims ? array([1, 1, channels], y.data) : y;
}

function globalPoolBackward(layer, x, dy) {
  const [height, width, channels] = x.shape;
  const n = height * width;
  const dx = array(x.shape);
  const top = globalPool(layer, x).data;
  const ties = new Int32Array(channels);
  const max = layer.type === "GlobalMaxPooling2D";
  for (let i = 0; i < x.data.length; i++) if (x.data[i] === top[i % channels]) ties[i % channels]++;
  for (let i = 0; i < x.data.length; i++) {
    const c = i % channels;
    if (!max) dx.data[i] = dy.data[c] / n;
    else if (x.data[i] === top[c]) dx.data[i] = dy.data[c] / ties[c]; // equal maxima share
  }
  return dx;
}

function forwardPool({ layer, x }) {
  return { y: poolForward(layer, x).y };
}

function forwardGlobalPool({ layer, x }) {
  return { y: globalPool(layer, x) };
}

function backwardPool({ layer, x, dy }) {
  return { dxs: [poolBackward(layer, x, dy)], grads: {} };
}

function backwardGlobalPool({ layer, x, dy }) {
  return { dxs: [globalPoolBackward(layer, x, dy)], grads: {} };
}

function explainPool({ layer, x, at, last, w }) {
  const list = windowTaps(w, x, at[0], at[1], last);
  const real = list.filter((t) => !t.padded);
  if (layer.type === "AveragePooling2D") {
    const sum = sumOf(real, "input");
    return {
      form: "pool",
      w,
      taps: list,
      mean: true,
      count: real.length,
      sum,
      value: sum / real.length,
      total: sum / real.length,
    };
  }
  const top = Math.max(...real.map((t) => t.input));
  const largest = real.filter((t) => t.input === top);
  largest.forEach((t, n) => {
    t.won = n === 0;
    t.tied = n > 0;
  });
  return { form: "pool", w, taps: list, value: top, total: top, ties: largest.length - 1 };
}

function explainGlobalPool({ layer, x, last }) {
  const [height, width, channels] = x.shape;
  const list = [];
  for (let o = 0; o < height * width; o++) {
    list.push({
      row: Math.floor(o / width),
      col: o % width,
      input: x.data[o * channels + last],
    });
  }
  if (layer.type === "GlobalAveragePooling2D") {
    const sum = sumOf(list, "input");
    return {
      form: "global",
      mean: true,
      taps: list,
      sum,
      count: list.length,
      value: sum / list.length,
      total: sum / list.length,
    };
  }
  const top = list.reduce((best, t) => Math.max(best, t.input), -Infinity);
  const largest = list.filter((t) => t.input === top);
  largest.forEach((t) => {
    t.won = true;
  });
  return {
    form: "global",
    taps: list,
    value: top,
    total: top,
    ties: largest.length - 1,
    winner: largest[0],
  };
}

function explainInputPool({ layer, x, at, k, dy, w }) {
  const terms = [];
  for (let i = 0; i < w.kernel[0]; i++) {
    for (let j = 0; j < w.kernel[1]; j++) {
      const row = placeBack(w, 0, at[0], i);
      const col = placeBack(w, 1, at[1], j);
      if (row < 0 || col < 0) continue;
      const real = windowTaps(w, x, row, col, k).filter((t) => !t.padded);
      const input = dy.data[offsetOf(dy.shape, [row, col, k])];
      const winner = real.reduce((best, t) => (t.input > best.input ? t : best));
      const won = winner.row === at[0] && winner.col === at[1];
      const weight = layer.type === "AveragePooling2D" ? 1 / real.length : won ? 1 : 0;
      const note =
        layer.type === "AveragePooling2D"
          ? words("pool.share", { n: real.length })
          : won
            ? words("pool.maximum")
            : words("pool.not_maximum");
      terms.push({
        label: words("pool.window", { row, column: col }),
        note,
        input,
        weight,
        product: input * weight,
        row,
        col,
      });
    }
  }
  const title = words("pool.sent");
  return { form: "terms", back: true, pooled: true, title, terms, total: sumOf(terms) };
}

function explainInputGlobalPool({ layer, x, at, k, dy }) {
  const n = x.shape[0] * x.shape[1];
  const d = dy.data[k];
  if (layer.type === "GlobalAveragePooling2D") {
    return {
      form: "steps",
      total: d / n,
      lines: [
        ["dy", words("pool.gradient", { k }), d],
        [`÷ ${n}`, words("pool.equal"), d / n],
      ],
    };
  }
  let top = -Infinity;
  let ties = 0;
  for (let o = 0; o < n; o++) top = Math.max(top, x.data[o * x.shape[2] + k]);
  for (let o = 0; o < n; o++) if (x.data[o * x.shape[2] + k] === top) ties++;
  const won = x.data[offsetOf(x.shape, at)] === top;
  const total = won ? d / ties : 0;
  return {
    form: "steps",
    total,
    lines: [
      ["dy", words("pool.gradient", { k }), d],
      [
        won ? `÷ ${ties}` : "× 0",
        won
          ? words("pool.it_is", {
              what: ties > 1 ? words("pool.shared", { n: ties }) : words("pool.the_maximum"),
            })
          : words("pool.another"),
        total,
      ],
    ],
  };
}

const poolWindow = (c, shape) =>
  windowOf(shape, pair(c.pool_size), pair(c.strides ?? c.pool_size), c.padding);

export const MaxPooling2D = {
  window: poolWindow,
  forward: forwardPool,
  backward: backwardPool,
  explain: explainPool,
  explainInput: explainInputPool,
};

export const AveragePooling2D = {
  window: poolWindow,
  forward: forwardPool,
  backward: backwardPool,
  explain: explainPool,
  explainInput: explainInputPool,
};

export const GlobalAveragePooling2D = {
  forward: forwardGlobalPool,
  backward: backwardGlobalPool,
  explain: explainGlobalPool,
  explainInput: explainInputGlobalPool,
};

export const GlobalMaxPooling2D = {
  forward: forwardGlobalPool,
  backward: backwardGlobalPool,
  explain: explainGlobalPool,
  explainInput: explainInputGlobalPool,
};
