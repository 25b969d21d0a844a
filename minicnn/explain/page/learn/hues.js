// @ts-check
// Random changes of hue and saturation: see learn/changes.js, and minicnn/layers/hsv.py.
import { array } from "page/engine/arrays.js";
import { stretch, uniforms } from "page/learn/changes.js";

const { fround } = Math;

/** @typedef {{hue: number, saturation: number, value: number}} Colour */

// The colour of three numbers: red, green and blue.
function colourOf(rgb) {
  const value = Math.max(...rgb);
  const chroma = fround(value - Math.min(...rgb));
  const saturation = value > 0 ? fround(chroma / value) : 0;
  if (!(chroma > 0)) return { hue: 0, saturation, value };
  const most = rgb.indexOf(value);
  const sixth = fround(fround(1 / 6) / chroma);
  const apart = fround(rgb[(most + 1) % 3] - rgb[(most + 2) % 3]);
  const hue = fround(fround(sixth * apart) + fround(most / 3));
  return { hue: hue < 0 ? fround(hue + 1) : hue, saturation, value };
}

// How far six times the hue is from the middle of red, green and blue.
const CENTRES = [3, 2, 4];

// The shares of red, green and blue, 0 to 1, in the purest colour of a hue.
function fullness(hue) {
  const [red, green, blue] = CENTRES.map((c) => Math.abs(fround(fround(hue * 6) - c)));
  return [red - 1, 2 - green, 2 - blue].map((v) => Math.min(Math.max(fround(v), 0), 1));
}

/** @type {(colour: Colour) => number[]} */
const rgbOf = ({ hue, saturation: s, value }) =>
  fullness(hue).map((full) => fround(fround(fround(1 - s) + fround(s * full)) * value));

// The gradients of hue, saturation and value, given those of red, green and blue.
function toColour(dy, { hue, saturation: s, value }) {
  const full = fullness(hue);
  const found = { hue: 0, saturation: 0, value: 0 };
  for (let c = 0; c < 3; c++) {
    const way = Math.sign(fround(fround(hue * 6) - CENTRES[c])) * (c ? -1 : 1);
    if (full[c] > 0 && full[c] < 1) found.hue += dy[c] * 6 * way * s * value;
    found.saturation += dy[c] * (full[c] - 1) * value;
    found.value += dy[c] * (1 - s + s * full[c]);
  }
  return found;
}

// The gradients of red, green and blue, given those of hue, saturation and value.
function toRgb(d, rgb, { saturation, value }) {
  const least = rgb.indexOf(Math.min(...rgb));
  const most = rgb.indexOf(value);
  const chroma = value - rgb[least];
  const [a, b] = [(most + 1) % 3, (most + 2) % 3];
  const dhue = chroma > 0 ? d.hue / (6 * chroma) : 0;
  const dsaturation = value > 0 ? d.saturation / value : 0;
  const dchroma = dsaturation - (chroma > 0 ? (dhue * (rgb[a] - rgb[b])) / chroma : 0);
  const dx = [0, 0, 0];
  dx[a] += dhue;
  dx[b] -= dhue;
  dx[least] -= dchroma;
  dx[most] += d.value + dchroma - dsaturation * saturation;
  return dx;
}

// An image whose pixels, three numbers each, are changed one by one: f(pixel, offset).
function eachPixel({ shape, data }, f) {
  const y = array(shape, new Float64Array(data.length));
  for (let o = 0; o < data.length; o += 3) y.data.set(f([...data.subarray(o, o + 3)], o), o);
  return y;
}

const single = ({ shape, data }) => array(shape, new Float32Array(data));

const RandomHue = {
  draw({ layer, xs, random }) {
    const ways = xs.map(() => (random.random() > 0.5 ? -0.5 : 0.5));
    return uniforms(xs, random, layer.config.factor).map((u, n) => ways[n] * u);
  },
  change({ layer, xs, drawn }) {
    const { value_range: range } = layer.config;
    const [there, back] = [stretch(range, [0, 1]), stretch([0, 1], range)];
    const inputs = xs.map((x) => array(x.shape, x.data.map(there)));
    const rotated = (rgb, n) => {
      const colour = colourOf(rgb);
      let hue = fround(colour.hue + drawn[n]);
      if (hue > 1) hue = fround(hue - 1);
      return { colour, moved: { ...colour, hue: hue < 0 ? fround(hue + 1) : hue } };
    };
    const ys = inputs.map((x, n) =>
      single(
        eachPixel(x, (rgb) =>
          rgbOf(rotated(rgb, n).moved).map((v) => back(Math.min(Math.max(v, 0), 1))),
        ),
      ),
    );
    return { ys, kept: { inputs, rotated } };
  },
  back: ({ dys, kept: { inputs, rotated } }) =>
    dys.map((dy, n) =>
      eachPixel(inputs[n], (rgb, o) => {
        const { colour, moved } = rotated(rgb, n);
        const dz = rgbOf(moved).map((v, c) => (v >= 0 && v <= 1 ? dy.data[o + c] : 0));
        return toRgb(toColour(dz, moved), rgb, colour);
      }),
    ),
};

const RandomSaturation = {
  draw: ({ layer, xs, random }) =>
    uniforms(xs, random, layer.config.factor).map((u) =>
      fround(u / fround(fround(1 - u) + fround(1e-7))),
    ),
  change({ layer, xs, drawn }) {
    const [low, high] = layer.config.value_range.map(fround);
    const stronger = (rgb, n) => {
      const colour = colourOf(rgb);
      const wanted = fround(colour.saturation * drawn[n]);
      const saturation = Math.min(Math.max(wanted, low), high);
      return { colour, moved: { ...colour, saturation }, inside: saturation === wanted };
    };
    const ys = xs.map((x, n) => single(eachPixel(x, (rgb) => rgbOf(stronger(rgb, n).moved))));
    return { ys, kept: { xs, stronger } };
  },
  back: ({ dys, drawn, kept: { xs, stronger } }) =>
    dys.map((dy, n) =>
      eachPixel(xs[n], (rgb, o) => {
        const { colour, moved, inside } = stronger(rgb, n);
        const d = toColour([...dy.data.subarray(o, o + 3)], moved);
        return toRgb({ ...d, saturation: inside ? d.saturation * drawn[n] : 0 }, rgb, colour);
      }),
    ),
};

export const HUES = { RandomHue, RandomSaturation };
