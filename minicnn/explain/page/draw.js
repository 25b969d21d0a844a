// @ts-check
// Colours, numbers as text, and arrays as images.
import { power, raised } from "page/powers.js";
import { words } from "page/words.js";

// Blue below zero, orange above it, the page's background at zero: colours that everybody can
// tell apart.
const SCALES = {
  light: [
    [13, 63, 122],
    [44, 116, 182],
    [112, 174, 213],
    [203, 225, 240],
    [250, 249, 247],
    [254, 226, 188],
    [250, 181, 104],
    [226, 126, 34],
    [156, 70, 8],
  ],
  dark: [
    [214, 234, 248],
    [126, 188, 226],
    [58, 134, 196],
    [30, 66, 104],
    [19, 23, 29],
    [92, 52, 14],
    [190, 104, 22],
    [247, 172, 72],
    [255, 233, 196],
  ],
};
/** @type {Uint8Array} */
let table = new Uint8Array(0);
let tableTheme = "";

// The window as the layout sees it; printing takes a desktop's size and light colours. `zoom`: how
// much larger than usual everything is; `bar`: how many pixels at the bottom are not the network's.
export const screen_ = {
  printing: false,
  zoom: 1,
  bar: 0,
  get width() {
    return this.printing ? 1280 : innerWidth / this.zoom;
  },
  get height() {
    return this.printing ? 720 : (innerHeight - this.bar) / this.zoom;
  },
};

export function theme() {
  const chosen = document.documentElement.dataset.theme;
  return chosen || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
}

/**
 * An element of page.html.
 *
 * @param {string} id
 */
export const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/**
 * What draws on a canvas: every browser has it.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {CanvasRenderingContext2DSettings} [settings]
 */
export const penOf = (canvas, settings) =>
  /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", settings));

function colours() {
  const now = theme();
  if (tableTheme !== now) {
    const stops = SCALES[now];
    const n = 512;
    tableTheme = now;
    table = new Uint8Array((n + 1) * 3);
    for (let i = 0; i <= n; i++) {
      const t = (i / n) * (stops.length - 1);
      const k = Math.min(Math.floor(t), stops.length - 2);
      for (let c = 0; c < 3; c++) {
        table[3 * i + c] = stops[k][c] + (t - k) * (stops[k + 1][c] - stops[k][c]);
      }
    }
  }
  return table;
}

const step = (v, top) => Math.round((Math.max(-1, Math.min(1, top > 0 ? v / top : 0)) + 1) * 256);

export function colour(v, top) {
  if (Number.isNaN(v)) return "transparent";
  const k = 3 * step(v, top);
  const t = colours();
  return `rgb(${t[k]}, ${t[k + 1]}, ${t[k + 2]})`;
}

export function inkOn(v, top) {
  if (Number.isNaN(v)) return "inherit";
  const k = 3 * step(v, top);
  const t = colours();
  const light = [0, 1, 2].map((c) => (t[k + c] / 255) ** 2.2);
  return 0.2126 * light[0] + 0.7152 * light[1] + 0.0722 * light[2] > 0.18 ? "#000" : "#fff";
}

// The same for the small cells of a grid: v / unit in at most six characters.
export function cellText(v, unit) {
  if (Number.isNaN(v)) return "–";
  if (unit === 1 && Number.isInteger(v)) return String(v).replace("-", "−");
  const s = v / unit;
  const a = Math.abs(s);
  return (
    s === 0 ? "0" : s.toFixed(a >= 999.5 ? 0 : a >= 99.95 ? 1 : a >= 9.995 || unit !== 1 ? 2 : 3)
  ).replace("-", "−");
}

// Where the colour scale ends: nearly the largest value, so that an outlier does not hide the rest.
export function topOf(data) {
  const n = data.length;
  const skip = Math.max(1, Math.floor(n / 20000));
  const sample = new Float64Array(Math.ceil(n / skip));
  for (let k = 0; k < sample.length; k++) sample[k] = Math.abs(data[k * skip]);
  sample.sort();
  const top = sample[Math.min(sample.length - 1, Math.floor(sample.length * 0.998))];
  return top > 0 ? top : sample.at(-1) || 1;
}

// {low, high, beyond}: the true extremes, and the share of the numbers that are larger than `top`.
const ranges = new WeakMap();
function rangeOf(data, top) {
  const known = ranges.get(data);
  if (known?.top === top) return known;
  const found = { top, low: Infinity, high: -Infinity, beyond: 0 };
  for (const v of data) {
    if (v < found.low) found.low = v;
    if (v > found.high) found.high = v;
    if (Math.abs(v) > top) found.beyond += 1 / data.length;
  }
  ranges.set(data, found);
  return found;
}

// Which maps of a layer are zero everywhere.
const zeros = new WeakMap();
export function zeroMaps(a) {
  if (!zeros.has(a.data)) {
    const n = a.shape.at(-1);
    const dead = new Array(n).fill(true);
    for (let i = 0; i < a.data.length; i++) if (a.data[i] !== 0) dead[i % n] = false;
    zeros.set(a.data, dead);
  }
  return zeros.get(a.data);
}

export const allZeros = (data) => data.every((v) => v === 0);

// -- text -----------------------------------------------------------------------------------------

export function fmt(v) {
  if (v === null || v === undefined || Number.isNaN(v)) return "–";
  const a = Math.abs(v);
  let text;
  if (Number.isInteger(v) && a < 1e5) text = String(v);
  else if (!Number.isFinite(v)) text = v > 0 ? "∞" : "-∞";
  else if (a >= 1e5 || a < 1e-3) return power(v);
  else if (a < 0.0995) text = v.toPrecision(3);
  else if (a >= 1000) text = v.toFixed(0);
  else if (a >= 100) text = v.toFixed(1);
  else if (a >= 10) text = v.toFixed(2);
  else text = v.toFixed(3);
  return text.replaceAll("-", "−");
}

// For a grid of numbers up to `top`: [factor, its text], so that the numbers fit into their cells.
export function unitFor(top) {
  if (!(top > 0) || (top >= 0.095 && top < 999)) return [1, ""];
  const e = Math.floor(Math.log10(top));
  return [10 ** e, ` · 10${raised(e)}`];
}

export const exact = (v) =>
  Number.isNaN(v)
    ? "–"
    : String(Math.fround(v) === v ? Math.fround(v) : +v.toPrecision(9)).replaceAll("-", "−");

export function count(n) {
  if (n >= 1e9) return `${(n / 1e9).toFixed(1)} G`;
  if (n >= 1e6) return `${(n / 1e6).toFixed(1)} M`;
  if (n >= 1e4) return `${(n / 1e3).toFixed(0)} k`;
  return n.toLocaleString("en").replaceAll(",", "\u202f");
}

export const percent = (p) => `${(100 * p).toFixed(1)} %`;
export const shapeText = (shape) => shape.join(" × ");

// -- elements -------------------------------------------------------------------------------------

// h("button.wide", {onclick}, "text", child) makes an element; text never becomes markup.
export function h(tag, attributes = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const svg = [
    "svg",
    "path",
    "circle",
    "line",
    "text",
    "g",
    "rect",
    "defs",
    "pattern",
    "marker",
    "polyline",
  ].includes(name);
  const element = svg
    ? document.createElementNS("http://www.w3.org/2000/svg", name)
    : document.createElement(name);
  if (classes.length) element.setAttribute("class", classes.join(" "));
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "style") Object.assign(element.style, value);
    else if (key === "value") element.value = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat(3).filter((c) => c !== null && c !== undefined && c !== false));
  return element;
}

export const COLOURS = ["red", "green", "blue"]; // a photo's channels

// -- images ---------------------------------------------------------------------------------------

function dataOf(height, width, put) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = penOf(canvas);
  const image = context.createImageData(width, height);
  for (let i = 0; i < height * width; i++) {
    put(i, image.data, 4 * i);
    image.data[4 * i + 3] = 255;
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

// One channel as a small canvas, one pixel per number.
export function mapPicture(a, channel, top) {
  const [height, width, channels] = a.shape;
  const t = colours();
  return dataOf(height, width, (i, out, o) => {
    const k = 3 * step(a.data[i * channels + channel], top);
    out[o] = t[k];
    out[o + 1] = t[k + 1];
    out[o + 2] = t[k + 2];
  });
}

// Three channels as colours; `range` is [scale, offset] to bytes.
export function colourPicture(a, range, channels = a.shape[2]) {
  const [height, width, all] = a.shape;
  return dataOf(height, width, (i, out, o) => {
    for (let c = 0; c < 3; c++) {
      out[o + c] = a.data[i * all + (channels >= 3 ? c : 0)] * range[0] + range[1];
    }
  });
}

// A map over a pale (or dark) grey photo: the larger a number, the less photo.
export function overlayPicture(photo, range, pixels, top) {
  const [height, width, channels] = photo.shape;
  const t = colours();
  const [ground, light] = theme() === "dark" ? [25, 0.45] : [90, 0.6];
  return dataOf(height, width, (i, out, o) => {
    let grey = 0;
    for (let c = 0; c < channels; c++) {
      grey += (photo.data[i * channels + c] * range[0] + range[1]) / channels;
    }
    const opaque = top > 0 ? 0.8 * Math.min(1, Math.abs(pixels.data[i]) / top) : 0;
    const k = 3 * step(pixels.data[i], top);
    for (let c = 0; c < 3; c++) {
      out[o + c] = (1 - opaque) * (ground + light * grey) + opaque * t[k + c];
    }
  });
}

// The best grid for n numbers of a vector: rows × columns.
export function vectorShape(n) {
  if (n <= 24) return [n, 1];
  let columns = Math.ceil(Math.sqrt(n / 2));
  while (n % columns && columns < n) columns++;
  if (columns > 4 * Math.sqrt(n)) columns = Math.ceil(Math.sqrt(n));
  return [Math.ceil(n / columns), columns];
}

export function vectorPicture(data, top) {
  const [rows, columns] = vectorShape(data.length);
  const t = colours();
  return dataOf(rows, columns, (i, out, o) => {
    const k = 3 * step(i < data.length ? data[i] : 0, top);
    out[o] = t[k];
    out[o + 1] = t[k + 1];
    out[o + 2] = t[k + 2];
  });
}

const bar_ = () =>
  h("span.legend-bar", {
    style: {
      background:
        "linear-gradient(90deg, " +
        `${Array.from({ length: 17 }, (_, i) => colour((i - 8) / 8, 1)).join(", ")})`,
    },
  });

// A legend of the colours up to `top` for these numbers: the ends of the scale, and the true
// extremes.
export function legend(top, data, whose = "") {
  const { low, high, beyond } = rangeOf(data, top);
  const share = 100 * beyond;
  if (low === 0 && high === 0) {
    return h("div.legend", {}, h("span.zeros", {}, words("legend.zeros", { whose })));
  }
  const ends = [`${low < -top ? "≤ " : ""}${fmt(-top)}`, `${high > top ? "≥ " : "+"}${fmt(top)}`];
  const part = share < 0.1 ? words("legend.under") : share.toFixed(1);
  const rest = beyond ? words("legend.beyond", { part }) : "";
  const range = words("legend.range", { whose, low: fmt(low), high: fmt(high), beyond: rest });
  return h(
    "div.legend",
    {
      role: "img",
      "aria-label": words("legend.colours", { low: ends[0], high: ends[1], range }),
    },
    h("span", {}, ends[0]),
    bar_(),
    h("span", {}, ends[1]),
    h("span.legend-range", {}, range),
  );
}

// The same for images that each have a scale of their own.
export function legendOfEach(what, [low, high] = ["−", "+"]) {
  return h(
    "div.legend",
    {
      role: "img",
      "aria-label": words("legend.colours_each", { low, high, what }),
    },
    h("span.legend-what", {}, what),
    h("span", {}, low),
    bar_(),
    h("span", {}, high),
  );
}
