// @ts-check
// What a map responds to most: gradient ascent on the waves that an image is made of, as in
// minicnn/explain/preferred.py, which says why.
import { colourPicture, fmt, h, penOf } from "page/draw.js";
import { array, map, size } from "page/engine/arrays.js";
import { Waves } from "page/engine/waves.js";
import { ancestors, backwardFrom, forwardTo } from "page/runs.js";
import { words } from "page/words.js";

const STEPS = 64;
const RATE = 0.03; // of Adam's steps

export function dreamPanel(app, id, at) {
  const { net, dream } = app;
  const blocked = dreamObstacle(net, id);
  const unit = at.at(-1);
  if (blocked) return h("p.note", {}, blocked);
  const [height, width] = net.nodes[0].shape;
  const canvas = h("canvas.map.dream-canvas", {
    role: "img",
    "aria-label": words("dream.image"),
    width,
    height,
  });
  const known = dream?.id === id && dream.unit === unit ? dream : null;
  const status = h("p.note", { "data-dream": "" }, known ? known.says : words("dream.beginning"));
  if (known) penOf(canvas).drawImage(known.picture, 0, 0);
  const start = () => grow(app, id, unit, canvas, status);
  return [
    canvas,
    status,
    h("button.primary", { "data-focus": "dream", onclick: start }, words("dream.grow")),
  ];
}

function dreamObstacle(net, id) {
  if (id === 0) return words("dream.photo");
  if (net.nodes[0].shape.length !== 3) return words("dream.no_images");
  const chain = ancestors(net, id);
  const blocked = chain.map((n) => net.obstacle(n)).find(Boolean);
  if (blocked) return words("dream.blocked", { why: blocked });
  return chain.reduce((sum, n) => sum + net.nodes[n].macs, 0) > 4e8 ? words("dream.too_long") : "";
}

/**
 * The lowest and the highest value that a pixel can have.
 * @returns {[number, number]}
 */
function pixelLimits(net) {
  const [scale, shift] = net.range;
  return [-shift / scale, (255 - shift) / scale];
}

// Random numbers that are always the same, between 0 and 1.
function lottery() {
  let seed = 7;
  return () => {
    seed = (seed * 1664525 + 1013904223) % 4294967296;
    return (seed + 0.5) / 4294967296;
  };
}

const normal = (draw) => Math.sqrt(-2 * Math.log(draw())) * Math.cos(2 * Math.PI * draw());

// Moves an image by rows and columns, around its edges.
function moved(x, by) {
  const [down, right] = by;
  const [rows, columns, channels] = x.shape;
  const y = array(x.shape, new Float32Array(x.data.length));
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) {
      const to = ((r + down + rows) % rows) * columns + ((c + right + columns) % columns);
      const from = (r * columns + c) * channels;
      y.data.set(x.data.subarray(from, from + channels), to * channels);
    }
  }
  return y;
}

// An image that grows: the strengths of its waves, and what Adam keeps of their gradients.
class Growing {
  constructor(net) {
    const { shape } = net.nodes[0];
    this.draw = lottery();
    this.waves = new Waves(shape);
    this.limits = pixelLimits(net);
    this.reach = Math.floor(Math.max(shape[0], shape[1]) / 16);
    const n = size(this.waves.shape);
    this.strengths = Float64Array.from({ length: n }, () => 0.01 * normal(this.draw));
    this.share = array(shape); // of the range of the pixels: how bright they are
    this.first = new Float64Array(n);
    this.second = new Float64Array(n);
    this.steps = 0;
  }

  image() {
    const [low, high] = this.limits;
    this.share = map(this.waves.image(this.strengths), (v) => 1 / (1 + Math.exp(-v)));
    const pixels = map(this.share, (v) => low + (high - low) * v);
    return array(pixels.shape, Float32Array.from(pixels.data));
  }

  // How far the image moves before a step.
  move() {
    return [0, 1].map(() => Math.floor(this.draw() * (2 * this.reach + 1)) - this.reach);
  }

  // One step of Adam along the gradient of the pixels.
  ascend(dx) {
    const [low, high] = this.limits;
    const slope = map(
      dx,
      (v, o) => v * (high - low) * this.share.data[o] * (1 - this.share.data[o]),
    );
    const gradient = this.waves.gradient(slope);
    const t = ++this.steps;
    for (let o = 0; o < gradient.length; o++) {
      const g = gradient[o];
      this.first[o] = 0.9 * this.first[o] + 0.1 * g;
      this.second[o] = 0.999 * this.second[o] + 0.001 * g * g;
      const mean = this.first[o] / (1 - 0.9 ** t);
      this.strengths[o] += (RATE * mean) / (Math.sqrt(this.second[o] / (1 - 0.999 ** t)) + 1e-12);
    }
  }
}

// Grows the image step by step and shows it, until other work begins or the image is removed.
async function grow(app, id, unit, canvas, status) {
  const { net } = app;
  const isCurrent = app.begin();
  const chain = ancestors(net, id);
  const growing = new Growing(net);
  /** @type {number | null} */
  let first = null;
  for (let step = 0; step <= STEPS; step++) {
    const x = growing.image();
    const move = step < STEPS ? growing.move() : [0, 0];
    const outs = await forwardTo(net, chain, moved(x, move));
    const { value, cells, gradient } = pull(outs.get(id), unit);
    first ??= value;
    if (!isCurrent() || !canvas.isConnected) return;
    const key = cells > 1 ? "dream.after_largest" : "dream.after";
    const says = words(key, { step, value: fmt(value), first: fmt(first) });
    app.dream = { id, unit, picture: colourPicture(x, net.range), says };
    penOf(canvas).drawImage(app.dream.picture, 0, 0);
    status.textContent = says;
    if (step === STEPS) return app.say(says);
    const got = await backwardFrom(net, chain, id, outs, gradient);
    const back = move.map((by) => -by);
    growing.ascend(moved(got.get(0), back));
  }
}

// Where the gradient starts. Softmax gives the strongest cells the most weight, so that the image
// becomes what the map looks for.
function pull(out, unit) {
  const z = out.z ?? out.y;
  const gradient = array(z.shape);
  const cells = [];
  for (let o = unit; o < z.data.length; o += z.shape.at(-1)) cells.push(o);
  const values = cells.map((o) => z.data[o]);
  const n = cells.length;
  const value = Math.max(...values);
  const mean = values.reduce((a, b) => a + b) / n;
  const spread = Math.sqrt(values.reduce((s, v) => s + (v - mean) ** 2, 0) / n) || 1;
  cells.forEach((o, k) => {
    gradient.data[o] = Math.exp((values[k] - value) / (2 * spread));
  });
  return { value, cells: n, gradient };
}
