// @ts-check
// From a picture to the numbers that the model sees, as `minicnn.images.files.read_photo` makes
// them.
import { penOf } from "page/draw.js";
import { array } from "page/engine/arrays.js";
import { resized } from "page/engine/sampling.js";
import { withoutRotation } from "page/photos/rotation.js";
import { words } from "page/words.js";

const MOST_PIXELS = 100_000_000;

// [scale, offset] of the ranges of numbers that a photo's pixels are known to be given in.
const RANGES = [
  [1, 0],
  [255, 0],
  [127.5, 127.5],
];

// Why the page cannot look at other photos than those it was made with, or "".
export function obstacleToReading({ net, rivals }) {
  return [net, ...rivals.map((rival) => rival.net)].map(obstacleOf).find(Boolean) ?? "";
}

function obstacleOf(net) {
  const channels = net.nodes[0].shape.at(-1);
  if (net.nodes[0].shape.length !== 3) return words("photos.lines");
  if (![1, 3, 4].includes(channels)) {
    return words("photos.channels", { n: channels });
  }
  if (!RANGES.some(([scale, offset]) => scale === net.range[0] && offset === net.range[1])) {
    return words("photos.unknown");
  }
  return net.obstacleToPhotos;
}

/**
 * The pixels of a file: {width, height, data}, four bytes each, as minicnn reads them: not rotated.
 * @param {Blob} file
 */
export async function decoded(file) {
  let bitmap;
  try {
    const plain = await withoutRotation(file);
    bitmap = await createImageBitmap(plain, { colorSpaceConversion: "none" });
  } catch {
    throw new Error(words("photos.unreadable", { name: nameOf(file) }));
  }
  const { width, height } = bitmap;
  if (width * height > MOST_PIXELS) {
    throw new Error(words("photos.too_large", { name: nameOf(file), width, height }));
  }
  return pixelsOf(bitmap, width, height);
}

const nameOf = (file) => /** @type {File} */ (file).name || words("photos.picture");

export function pixelsOf(source, width, height) {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height });
  const context = penOf(canvas, { willReadFrequently: true });
  context.drawImage(source, 0, 0, width, height);
  return { width, height, data: context.getImageData(0, 0, width, height).data, canvas };
}

// As Pillow makes gray of colours.
const gray = (d, o) => (d[o] * 19595 + d[o + 1] * 38470 + d[o + 2] * 7471 + 0x8000) >> 16;

// The numbers that go into the network.
export function seenBy(net, { width, height, data }) {
  const [rows, columns, channels] = net.nodes[0].shape;
  const [scale, offset] = net.range;
  const antialias = net.interpolation === "antialias"; // Pillow's, which gives whole numbers
  const interpolation = antialias ? "bilinear" : net.interpolation;
  const where = resized([height, width], [rows, columns], { interpolation, antialias });
  const x = array([rows, columns, channels], new Float32Array(rows * columns * channels));
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      for (let c = 0; c < channels; c++) {
        let v = 0;
        for (const [row, a] of where.rows[i]) {
          for (const [column, b] of where.columns[j]) {
            const o = 4 * (row * width + column);
            v += a * b * (channels === 1 ? gray(data, o) : data[o + c]);
          }
        }
        const level = antialias ? Math.round(v) : v;
        x.data[(i * columns + j) * channels + c] = (level - offset) / scale;
      }
    }
  }
  return x;
}

// A smaller copy for the page to show, as the address of its data.
export function thumbnail({ canvas, width, height }, most = 640) {
  const scale = Math.min(1, most / Math.max(width, height));
  const small = document.createElement("canvas");
  small.width = Math.max(1, Math.round(width * scale));
  small.height = Math.max(1, Math.round(height * scale));
  penOf(small).drawImage(canvas, 0, 0, small.width, small.height);
  return small.toDataURL("image/jpeg", 0.85);
}
