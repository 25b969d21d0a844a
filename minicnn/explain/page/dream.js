// @ts-check
// What a map responds to most: gradient ascent on the image.
import { colourPicture, fmt, h } from "page/draw.js";
import { array, size } from "page/engine/arrays.js";
import { ancestors, backwardFrom, forwardTo } from "page/runs.js";

const STEPS = 32;

const BEGINNING =
  "Starts from grey noise and changes the pixels, step by step, so that this number grows " +
  "(gradient ascent, computed in this page).";

export function dreamPanel(app, id, at) {
  const { net, dream } = app;
  const blocked = dreamObstacle(net, id);
  const unit = at.at(-1);
  if (blocked) return h("p.note", {}, blocked);
  const [height, width] = net.nodes[0].shape;
  const canvas = h("canvas.map.dream-canvas", {
    role: "img",
    "aria-label": "An image that the unit responds to strongly",
    width,
    height,
  });
  const known = dream?.id === id && dream.unit === unit ? dream : null;
  const status = h("p.note", { "data-dream": "" }, known ? known.says : BEGINNING);
  if (known) canvas.getContext("2d").drawImage(known.picture, 0, 0);
  const start = () => grow(app, id, unit, canvas, status);
  return [
    canvas,
    status,
    h("button.primary", { "data-focus": "dream", onclick: start }, "Grow an image"),
  ];
}

function dreamObstacle(net, id) {
  if (id === 0) return "This is the photo itself.";
  const chain = ancestors(net, id);
  const blocked = chain.map((n) => net.obstacle(n)).find(Boolean);
  if (blocked) return `Not available in this page: ${blocked}`;
  return chain.reduce((sum, n) => sum + net.nodes[n].macs, 0) > 4e8
    ? "Not available: the layers up to here take too long to compute many times."
    : "";
}

/**
 * The lowest and the highest value that a pixel can have.
 * @returns {[number, number]}
 */
function pixelLimits(net) {
  const [scale, shift] = net.range;
  return [-shift / scale, (255 - shift) / scale];
}

// Grey with a little noise, which is always the same.
function greyNoise(net) {
  const [low, high] = pixelLimits(net);
  const shape = net.nodes[0].shape;
  const x = array(shape, new Float32Array(size(shape)));
  let seed = 7;
  for (let i = 0; i < x.data.length; i++) {
    seed = (seed * 1664525 + 1013904223) % 4294967296;
    x.data[i] = low + (high - low) * (0.47 + (0.06 * seed) / 4294967296);
  }
  return x;
}

// Grows the image step by step and shows it, until other work begins or the image is removed.
async function grow(app, id, unit, canvas, status) {
  const { net } = app;
  const isCurrent = app.begin();
  const chain = ancestors(net, id);
  const x = greyNoise(net);
  let first = null;
  for (let step = 0; step <= STEPS; step++) {
    const outs = await forwardTo(net, chain, x);
    const { value, cells, gradient } = pull(outs.get(id), unit);
    first ??= value;
    if (!isCurrent() || !canvas.isConnected) return;
    const word = cells > 1 ? "largest value" : "value";
    const says =
      `After ${step} steps its ${word} is ${fmt(value)}; with grey noise it was ${fmt(first)}. ` +
      "Computed in this page, by gradient ascent.";
    app.dream = { id, unit, picture: colourPicture(x, net.range), says };
    canvas.getContext("2d").drawImage(app.dream.picture, 0, 0);
    status.textContent = says;
    if (step === STEPS) return app.say(says);
    const got = await backwardFrom(net, chain, id, outs, gradient);
    ascend(x, got.get(0).data, pixelLimits(net), 0.04 * (1 - step / (2 * STEPS)));
    if (step % 2 && step < STEPS - 2) smooth(x);
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

// One step along the gradient, by `share` of the range of the pixels.
function ascend(x, g, [low, high], share) {
  const rms = Math.sqrt(g.reduce((s, v) => s + v * v, 0) / g.length) || 1;
  const by = (high - low) * share;
  for (let i = 0; i < g.length; i++) {
    const move = Math.max(-3, Math.min(3, g[i] / rms)) * by;
    x.data[i] = Math.max(low, Math.min(high, x.data[i] + move));
  }
}

// A little blur: without it the image would be nothing but fine noise.
function smooth(x) {
  const [rows, columns, channels] = x.shape;
  const old = Float32Array.from(x.data);
  const at = (r, c, k) =>
    old[
      (Math.max(0, Math.min(rows - 1, r)) * columns + Math.max(0, Math.min(columns - 1, c))) *
        channels +
        k
    ];
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) {
      for (let k = 0; k < channels; k++) {
        x.data[(r * columns + c) * channels + k] =
          0.6 * at(r, c, k) +
          0.1 * (at(r - 1, c, k) + at(r + 1, c, k) + at(r, c - 1, k) + at(r, c + 1, k));
      }
    }
  }
}
