// @ts-check
// The maximum of windows that divide an image of any size; sampling.js has their mean.
import { array, offsetOf } from "page/engine/arrays.js";
import { windowed } from "page/engine/sampling.js";
import { sumOf } from "page/explain/terms.js";
import { covered, filled } from "page/kinds/sampling.js";
import { words } from "page/words.js";

// The pixels under window (i, j), column by column: of equal ones the first is the maximum.
function pixelsUnder({ rows, columns }, x, i, j, channel) {
  return columns[j].flatMap(([col]) =>
    rows[i].map(([row]) => ({ row, col, input: x.data[offsetOf(x.shape, [row, col, channel])] })),
  );
}

const largest = (pixels) => pixels.reduce((best, p) => (p.input > best.input ? p : best));

// Calls visit(offset in y, the pixel that is its maximum, channel).
function eachMaximum(where, x, visit) {
  const channels = x.shape[2];
  for (let i = 0; i < where.rows.length; i++) {
    for (let j = 0; j < where.columns.length; j++) {
      for (let c = 0; c < channels; c++) {
        const to = (i * where.columns.length + j) * channels + c;
        visit(to, largest(pixelsUnder(where, x, i, j, c)), c);
      }
    }
  }
}

const windowsOf = (layer, shape) => windowed(shape, layer.config.output_size);

function forward({ layer, x }) {
  const where = windowsOf(layer, x.shape);
  const y = array([where.rows.length, where.columns.length, x.shape[2]]);
  eachMaximum(where, x, (to, pixel) => {
    y.data[to] = pixel.input;
  });
  return { y };
}

function backward({ layer, x, dy }) {
  const dx = array(x.shape);
  eachMaximum(windowsOf(layer, x.shape), x, (to, { row, col }, c) => {
    dx.data[offsetOf(x.shape, [row, col, c])] += dy.data[to];
  });
  return { dxs: [dx], grads: {} };
}

function term(label, input, won, row, col) {
  const note = won ? words("pool.maximum") : words("pool.not_maximum");
  return { label, note, input, weight: won ? 1 : 0, product: won ? input : 0, row, col };
}

function explain({ layer, x, at, last }) {
  const pixels = pixelsUnder(windowsOf(layer, x.shape), x, at[0], at[1], last);
  const first = largest(pixels);
  const terms = pixels.map((p) => {
    const label = words("sample.pixel", { row: p.row, column: p.col });
    return term(label, p.input, p === first, p.row, p.col);
  });
  const total = sumOf(terms);
  const title = words("pool.largest");
  const more = { value: total, bias: null, z: total, activation: "linear" };
  return { form: "terms", pooled: true, title, terms, total, ...more };
}

function explainInput({ layer, x, at, k, dy }) {
  const where = windowsOf(layer, x.shape);
  const over = (taps, place) =>
    taps.flatMap((list, i) => (list.some(([p]) => p === place) ? [i] : []));
  const terms = over(where.rows, at[0]).flatMap((row) =>
    over(where.columns, at[1]).map((col) => {
      const first = largest(pixelsUnder(where, x, row, col, k));
      const won = first.row === at[0] && first.col === at[1];
      const input = dy.data[offsetOf(dy.shape, [row, col, k])];
      return term(words("pool.window", { row, column: col }), input, won, row, col);
    }),
  );
  const title = words("pool.sent");
  return { form: "terms", back: true, pooled: true, title, terms, total: sumOf(terms) };
}

export const AdaptiveMaxPooling2D = {
  forward,
  backward,
  explain,
  explainInput,
  reads: (layer, box, shape) => covered(windowsOf(layer, shape), box),
  fills: (layer, box, shape) => filled(windowsOf(layer, shape), box),
};
