// @ts-check
// Upsampling: each pixel becomes a block of equal ones.
import { array, offsetOf, pair } from "page/engine/arrays.js";
import { sumOf } from "page/explain/terms.js";

/** @type {(config: Record<string, any>) => [number, number]} */
const sizeOf = (config) => [pair(config.size)[0], pair(config.size)[1]];

// Calls visit(offset in x, offset in y) for each number of y.
function blocks([height, width, channels], [rows, columns], visit) {
  const line = width * columns;
  for (let i = 0; i < height * rows; i++) {
    for (let j = 0; j < line; j++) {
      const from = (Math.floor(i / rows) * width + Math.floor(j / columns)) * channels;
      for (let c = 0; c < channels; c++) visit(from + c, (i * line + j) * channels + c);
    }
  }
}

function forwardUpSampling({ x, c }) {
  const size = sizeOf(c);
  const [height, width, channels] = x.shape;
  const y = array([height * size[0], width * size[1], channels]);
  blocks(x.shape, size, (from, to) => {
    y.data[to] = x.data[from];
  });
  return { y };
}

function backwardUpSampling({ x, c, dy }) {
  const dx = array(x.shape, new Float64Array(x.data.length));
  blocks(x.shape, sizeOf(c), (from, to) => {
    dx.data[from] += dy.data[to];
  });
  return { dxs: [dx], grads: {} };
}

function explainUpSampling({ x, at, last, c }) {
  const [rows, columns] = sizeOf(c);
  const from = [Math.floor(at[0] / rows), Math.floor(at[1] / columns), last];
  const value = x.data[offsetOf(x.shape, from)];
  return {
    form: "copy",
    from: [{ at: from, value, input: 0 }],
    value,
    total: value,
    text: `Each pixel becomes a block of ${rows}×${columns} equal pixels.`,
  };
}

function explainInputUpSampling({ at, k, c, dy }) {
  const [rows, columns] = sizeOf(c);
  const terms = [];
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      const [row, col] = [at[0] * rows + i, at[1] * columns + j];
      const input = dy.data[offsetOf(dy.shape, [row, col, k])];
      const label = `copy (${row}, ${col})`;
      terms.push({ label, note: "one of the block", input, weight: 1, product: input, row, col });
    }
  }
  const title = "Each copy of this number sends its gradient here";
  return { form: "terms", back: true, pooled: true, title, terms, total: sumOf(terms) };
}

export const UpSampling2D = {
  forward: forwardUpSampling,
  backward: backwardUpSampling,
  explain: explainUpSampling,
  explainInput: explainInputUpSampling,
  reads: ({ config }, [top, bottom, left, right]) => {
    const [rows, columns] = sizeOf(config);
    return [top / rows, bottom / rows, left / columns, right / columns].map(Math.floor);
  },
  fills: ({ config }, [top, bottom, left, right]) => {
    const [rows, columns] = sizeOf(config);
    return [top * rows, (bottom + 1) * rows - 1, left * columns, (right + 1) * columns - 1];
  },
};
