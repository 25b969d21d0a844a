// @ts-check
// Images as sums of waves, the long ones stronger, in colours that vary independently: the numbers
// of `Waves` in minicnn/explain/preferred.py.
import { array, size } from "page/engine/arrays.js";

// Brightness, blue against yellow, red against green, as strong as in photos.
const MIXED = [
  [0.26, 0.09, 0.02],
  [0.27, 0.0, -0.05],
  [0.27, -0.09, 0.03],
];
const LONGEST = Math.max(...[0, 1, 2].map((k) => Math.hypot(...MIXED.map((row) => row[k]))));
const COLOURS = MIXED.map((row) => row.map((v) => v / LONGEST));

const identity = (n) =>
  Array.from({ length: n }, (_, i) => Array.from({ length: n }, (__, j) => Number(i === j)));

// cos and sin of 2π k / n, for k from 0 to n - 1.
const circle = (n) =>
  [Math.cos, Math.sin].map((f) =>
    Float64Array.from({ length: n }, (_, k) => f((2 * Math.PI * k) / n)),
  );

export class Waves {
  /** @param {number[]} shape of the image */
  constructor(shape) {
    const [height, width, channels] = shape;
    this.imageShape = shape;
    this.shape = [2, height, Math.floor(width / 2) + 1, channels];
    this.half = size(this.shape) / 2;
    this.colours = channels === 3 ? COLOURS : identity(channels);
    this.down = circle(height);
    this.across = circle(width);
    const columns = this.shape[2];
    const even = 1 / Math.sqrt(height * width);
    // The strength of each wave; all but the first and the last column stand for two, which mirror
    // each other.
    this.scale = new Float64Array(height * columns);
    this.twice = new Float64Array(height * columns);
    for (let j = 0; j < height; j++) {
      for (let k = 0; k < columns; k++) {
        const perPixel = Math.hypot(Math.min(j, height - j) / height, k / width);
        this.scale[j * columns + k] = even / Math.max(perPixel, 1 / Math.max(height, width));
        this.twice[j * columns + k] = k === 0 || 2 * k === width ? 1 : 2;
      }
    }
  }

  // The sum of all waves.
  image(strengths) {
    const [height, width, channels] = this.imageShape;
    const columns = this.shape[2];
    const [cosDown, sinDown] = this.down;
    const [cosAcross, sinAcross] = this.across;
    const plain = new Float64Array(height * width * channels);
    const real = new Float64Array(columns * channels);
    const imaginary = new Float64Array(columns * channels);
    for (let r = 0; r < height; r++) {
      real.fill(0);
      imaginary.fill(0);
      for (let j = 0; j < height; j++) {
        const [cos, sin] = [cosDown[(j * r) % height], sinDown[(j * r) % height]];
        for (let k = 0; k < columns; k++) {
          const weight = this.scale[j * columns + k] * this.twice[j * columns + k];
          for (let c = 0; c < channels; c++) {
            const o = (j * columns + k) * channels + c;
            const [a, b] = [strengths[o] * weight, strengths[this.half + o] * weight];
            real[k * channels + c] += a * cos - b * sin;
            imaginary[k * channels + c] += a * sin + b * cos;
          }
        }
      }
      for (let s = 0; s < width; s++) {
        for (let k = 0; k < columns; k++) {
          const [cos, sin] = [cosAcross[(k * s) % width], sinAcross[(k * s) % width]];
          for (let c = 0; c < channels; c++) {
            plain[(r * width + s) * channels + c] +=
              real[k * channels + c] * cos - imaginary[k * channels + c] * sin;
          }
        }
      }
    }
    return array(
      this.imageShape,
      this.mixed(plain, (row, k) => this.colours[row][k]),
    );
  }

  // The gradient of the strengths for that of the image: the transpose of `image`.
  gradient(dy) {
    const [height, width, channels] = this.imageShape;
    const columns = this.shape[2];
    const [cosDown, sinDown] = this.down;
    const [cosAcross, sinAcross] = this.across;
    const plain = this.mixed(dy.data, (row, k) => this.colours[k][row]);
    const found = new Float64Array(2 * this.half);
    const real = new Float64Array(columns * channels);
    const imaginary = new Float64Array(columns * channels);
    for (let r = 0; r < height; r++) {
      real.fill(0);
      imaginary.fill(0);
      for (let s = 0; s < width; s++) {
        for (let k = 0; k < columns; k++) {
          const [cos, sin] = [cosAcross[(k * s) % width], sinAcross[(k * s) % width]];
          for (let c = 0; c < channels; c++) {
            const v = plain[(r * width + s) * channels + c];
            real[k * channels + c] += v * cos;
            imaginary[k * channels + c] -= v * sin;
          }
        }
      }
      for (let j = 0; j < height; j++) {
        const [cos, sin] = [cosDown[(j * r) % height], sinDown[(j * r) % height]];
        for (let k = 0; k < columns; k++) {
          const weight = this.scale[j * columns + k] * this.twice[j * columns + k];
          for (let c = 0; c < channels; c++) {
            const o = (j * columns + k) * channels + c;
            const [a, b] = [real[k * channels + c], imaginary[k * channels + c]];
            found[o] += weight * (a * cos + b * sin);
            found[this.half + o] += weight * (b * cos - a * sin);
          }
        }
      }
    }
    return found;
  }

  // Each pixel's numbers, mixed by a matrix.
  mixed(plain, entry) {
    const channels = this.imageShape[2];
    const found = new Float64Array(plain.length);
    for (let o = 0; o < plain.length; o += channels) {
      for (let row = 0; row < channels; row++) {
        for (let k = 0; k < channels; k++) found[o + row] += entry(row, k) * plain[o + k];
      }
    }
    return found;
  }
}
