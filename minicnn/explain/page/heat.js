// @ts-check
// Heat maps: which parts of the photo speak for a class, by four methods. The numbers are those of
// minicnn/explain/heatmap.py, whose docstring says what each method can tell.
import { COLOURS } from "page/draw.js";
import { array, map, size } from "page/engine/arrays.js";
import { probabilities } from "page/engine/loss.js";
import { forward } from "page/engine/passes.js";
import { weightAt } from "page/explain/terms.js";
import { flipsOf } from "page/kinds/operations.js";
import { ancestors, backwardFrom, descendants, forwardTo } from "page/runs.js";
import { words } from "page/words.js";

export const STEPS = 24; // of integrated gradients

// What each can tell is among the page's words: heat.grad_cam.can, and so on.
/** @type {Record<string, HeatMethod>} */
export const METHODS = {
  grad_cam: {
    compute: gradCam,
    passes: () => 1,
  },
  occlusion: {
    compute: occlusion,
    passes: (net) => squaresOf(net.nodes[0].shape).length,
  },
  gradient_x_input: {
    compute: gradientTimesInput,
    passes: () => 3,
  },
  integrated_gradients: {
    compute: integratedGradients,
    passes: () => 3 * STEPS,
  },
};

// The layers whose maps Grad-CAM can weigh, and the last of them.
export const layersWithMaps = (net) =>
  net.nodes.filter(
    ({ id }) =>
      id > 0 &&
      id !== net.output &&
      net.shape(id).length === 3 &&
      descendants(net, ancestors(net, net.output), [id]).includes(net.output),
  );

// The last of them with more than one place; several if the network combines others.
export function ends(net) {
  const before = new Set();
  const found = [];
  for (const { id } of layersWithMaps(net).reverse()) {
    if (before.has(id) || net.shape(id)[0] * net.shape(id)[1] === 1) continue;
    found.unshift(id);
    for (const earlier of ancestors(net, id)) before.add(earlier);
  }
  return found;
}

// The kernel of a last dense layer of which the page has only some units, if it has that of the
// target: this is enough for the gradient of its score.
function keptKernel(net, { target, forgotten }) {
  const kernel = net.nodes[net.output].type === "Dense" ? net.param(net.output, "kernel") : null;
  return !forgotten && kernel?.kept?.includes(target) ? kernel : null;
}

// Why the page cannot make a heat map by this method, or "".
export function obstacle(net, method, choice) {
  if (method === "grad_cam" && !choice.nodes.length) return words("heat.no_maps");
  const all = ancestors(net, net.output);
  const short = method === "grad_cam" && !choice.forgotten;
  const needed = short ? descendants(net, all, choice.nodes) : all.slice(1);
  const onlyGradient = ["grad_cam", "gradient_x_input"].includes(method);
  const enough = onlyGradient && keptKernel(net, choice);
  const whole = needed.filter((n) => !(enough && n === net.output));
  const why = whole.map((n) => net.obstacle(n)).find(Boolean);
  const lost = (
    short ? [...choice.nodes, ...needed.flatMap((n) => net.nodes[n].inputs)] : [0]
  ).find((n) => !net.has(n));
  return why || (lost === undefined ? "" : net.reason(lost));
}

// About how many multiply-adds a method takes.
export function cost(net, method, choice) {
  const all = ancestors(net, net.output);
  const short = method === "grad_cam" && !choice.forgotten;
  const needed = short ? descendants(net, all, choice.nodes) : all;
  const once = needed.reduce((sum, n) => sum + net.nodes[n].macs, 0);
  return once * METHODS[method].passes(net);
}

/**
 * The network that the maps are of: `layerOf` has the weights as they are, or forgotten ones.
 * @param {any} net
 * @param {{target: number, nodes: number[], forgotten: Map<string, any> | null}} choice
 */
function subject(net, choice) {
  const { forgotten, target } = choice;
  const layerOf = (n) => {
    const own = forgotten?.get(net.nodes[n].key);
    return own ? { ...net.layer(n), params: own } : net.layer(n);
  };
  return { net, chain: ancestors(net, net.output), layerOf, target, x: net.y(0), forgotten };
}

// All outputs for the photo: known already, unless weights have been forgotten.
async function outsOf(of, needed = of.chain.slice(1)) {
  const { net, chain, layerOf, forgotten, x } = of;
  const wanted = new Set([...needed, ...needed.flatMap((n) => net.nodes[n].inputs)]);
  if (forgotten || [...wanted].some((n) => !net.has(n))) return forwardTo(net, chain, x, layerOf);
  const outs = new Map();
  for (const n of wanted) {
    const y = net.y(n);
    outs.set(n, { y, z: n ? net.z(n, y) : y });
  }
  const last = net.output;
  if (!net.obstacle(last)) outs.set(last, forward(net.layer(last), net.inputs(last)));
  return outs;
}

// The score: what goes into the last softmax or sigmoid, or one number of the output.
function scoreOf({ net, target }, out) {
  if (net.kind === "sigmoid") return (target ? 1 : -1) * (out.z ?? out.y).data[0];
  return (net.kind === "softmax" ? (out.z ?? out.y) : out.y).data[target];
}

function probabilityOf({ net, target }, out) {
  return (net.kind ? probabilities(net.kind, out.y) : out.y.data)[target];
}

// Gradients of the score, before those of the layers in `chain`.
async function gradientsOf(of, outs, chain = of.chain) {
  const { net, layerOf, target } = of;
  const kernel = keptKernel(net, of);
  if (kernel) {
    const [source] = net.nodes[net.output].inputs;
    const before = chain.filter((n) => n !== net.output);
    const dx = map(outs.get(source).y, (_, k) => weightAt(kernel, k, target));
    return backwardFrom(net, before, source, outs, dx, layerOf, false);
  }
  const start = array(outs.get(net.output).y.shape);
  if (net.kind === "sigmoid") start.data[0] = target ? 1 : -1;
  else start.data[target] = 1;
  const before = ["softmax", "sigmoid"].includes(net.kind);
  return backwardFrom(net, chain, net.output, outs, start, layerOf, before);
}

// -- the methods ----------------------------------------------------------------------------------

async function gradCam(net, choice) {
  const of = subject(net, choice);
  const behind = descendants(net, of.chain, choice.nodes);
  const outs = await outsOf(of, behind);
  const got = await gradientsOf(of, outs, behind);
  const parts = choice.nodes.map((n) => {
    const gradients = /** @type {Tensor} */ (got.get(n));
    return weighed(outs.get(n).y, gradients, net.nodes[0].shape);
  });
  return parts.length === 1 ? parts[0] : together(net, choice.nodes, parts);
}

// The Grad-CAM of one layer.
function weighed(maps, gradients, photo) {
  const [rows, columns, channels] = maps.shape;
  const weights = new Float64Array(channels);
  gradients.data.forEach((v, o) => {
    weights[o % channels] += v / (rows * columns);
  });
  const values = array([rows, columns]);
  for (let o = 0; o < maps.data.length; o++) {
    values.data[Math.floor(o / channels)] += maps.data[o] * weights[o % channels];
  }
  const totals = values.data.slice();
  values.data.forEach((v, o) => {
    values.data[o] = Math.max(v, 0);
  });
  return {
    values,
    weights,
    pixels: resized(values, photo),
    terms: (at) => {
      const o = at[0] * columns + at[1];
      const terms = Array.from(weights, (weight, k) => {
        const input = maps.data[o * channels + k];
        return {
          label: words("word.map_k", { k }),
          index: k,
          input,
          weight,
          product: input * weight,
        };
      });
      return { terms, total: totals[o] };
    },
  };
}

// The sum of the Grad-CAMs of several layers, as large as the photo.
function together(net, nodes, parts) {
  const ways = waysOf(net);
  const flipped = parts.map(({ pixels }, n) => flippedBack(pixels, ways[nodes[n]]));
  const [, width] = net.nodes[0].shape;
  const values = map(flipped[0], (_, o) => flipped.reduce((sum, one) => sum + one.data[o], 0));
  const terms = (at) => {
    const o = at[0] * width + at[1];
    const found = flipped.map(({ data }, k) => ({
      ...{ label: net.nodes[nodes[k]].name, index: nodes[k] },
      ...{ input: data[o], weight: 1, product: data[o] },
    }));
    return { terms: found, total: values.data[o] };
  };
  return { values, pixels: values, nodes, terms };
}

// How the maps of each layer lie on the photo: 1 if upside down, 2 if mirrored, 3 if both. Maps of
// both the photo and its mirror image stay as they are.
function waysOf(net) {
  const all = [new Set([0])];
  for (const { id, inputs } of net.nodes.slice(1)) {
    const own = flipsOf(net.layer(id), net.shape(inputs[0]));
    all[id] = new Set(inputs.flatMap((n) => Array.from(all[n], (way) => way ^ own)));
  }
  return all.map((ways) => (ways.size === 1 ? [...ways][0] : 0));
}

function flippedBack(pixels, way) {
  const [height, width] = pixels.shape;
  return map(pixels, (_, o) => {
    const [row, column] = [Math.floor(o / width), o % width];
    const from = way & 1 ? height - 1 - row : row;
    return pixels.data[from * width + (way & 2 ? width - 1 - column : column)];
  });
}

async function occlusion(net, choice, progress) {
  const of = subject(net, choice);
  const { x } = of;
  const [height, width, channels] = x.shape;
  const squares = squaresOf(x.shape);
  const rows = [...new Set(squares.map(([row]) => row))];
  const columns = [...new Set(squares.map(([, column]) => column))];
  const side = sideOf(x.shape);
  const fill = meanColour(x);
  const p = probabilityOf(of, (await outsOf(of)).get(net.output));
  const values = array([rows.length, columns.length]);
  const without = array(values.shape);
  const sums = array([height, width]);
  const counts = array([height, width]);
  for (const [n, square] of squares.entries()) {
    const outs = await forwardTo(net, of.chain, covered(x, square, side, fill), of.layerOf);
    if (!progress(n + 1, squares.length)) return null;
    without.data[n] = probabilityOf(of, outs.get(net.output));
    values.data[n] = p - without.data[n];
    inSquare(square, side, (row, column) => {
      sums.data[row * width + column] += values.data[n];
      counts.data[row * width + column]++;
    });
  }
  return {
    values,
    ...{ rows, columns, side, fill, p, without, channels },
    pixels: map(sums, (v, o) => v / counts.data[o]),
    covered: (at) => covered(x, [rows[at[0]], columns[at[1]]], side, fill),
  };
}

async function gradientTimesInput(net, choice) {
  const of = subject(net, choice);
  const got = await gradientsOf(of, await outsOf(of));
  return shares(of.x, got.get(0));
}

async function integratedGradients(net, choice, progress) {
  const of = subject(net, choice);
  const mean = array(of.x.shape);
  for (let step = 0; step < STEPS; step++) {
    const part = map(of.x, (v) => (v * (step + 0.5)) / STEPS);
    const got = await gradientsOf(of, await forwardTo(net, of.chain, part, of.layerOf));
    if (!progress(step + 1, STEPS)) return null;
    const dx = /** @type {Tensor} */ (got.get(0));
    dx.data.forEach((v, o) => {
      mean.data[o] += v / STEPS;
    });
  }
  const zero = await forwardTo(net, of.chain, array(of.x.shape), of.layerOf);
  const found = shares(of.x, mean);
  const score = scoreOf(of, (await outsOf(of)).get(net.output));
  const baseline = scoreOf(of, zero.get(net.output));
  const total = found.values.data.reduce((a, b) => a + b, 0);
  return { ...found, score, baseline, total };
}

// Pixels times gradients, added up over the channels.
function shares(x, gradients) {
  const [height, width, channels] = x.shape;
  const values = array([height, width]);
  for (let o = 0; o < x.data.length; o++) {
    values.data[Math.floor(o / channels)] += x.data[o] * gradients.data[o];
  }
  const terms = (at) => {
    const first = (at[0] * width + at[1]) * channels;
    const found = Array.from({ length: channels }, (_, k) => {
      const [input, weight] = [x.data[first + k], gradients.data[first + k]];
      return { label: channelName(channels, k), index: k, input, weight, product: input * weight };
    });
    return { terms: found, total: values.data[at[0] * width + at[1]] };
  };
  return { values, pixels: values, terms };
}

const channelName = (channels, k) =>
  channels === 3 ? words(`word.${COLOURS[k]}`) : words("word.channel_k", { k });

// -- squares --------------------------------------------------------------------------------------

const sideOf = ([height, width]) => [height, width].map((n) => Math.max(1, Math.floor(n / 4)));

// Where the squares begin; the last ones end at the border.
function squaresOf(shape) {
  const [rows, columns] = sideOf(shape).map((side, axis) => {
    const step = Math.max(1, Math.floor(side / 2));
    const last = shape[axis] - side;
    const starts = [];
    for (let start = 0; start <= last; start += step) starts.push(start);
    return starts.at(-1) === last ? starts : [...starts, last];
  });
  return rows.flatMap((row) => columns.map((column) => [row, column]));
}

function inSquare(square, side, act) {
  const [row, column] = square;
  for (let r = row; r < row + side[0]; r++) {
    for (let c = column; c < column + side[1]; c++) act(r, c);
  }
}

function covered(x, square, side, fill) {
  const [, width, channels] = x.shape;
  const data = Float32Array.from(x.data);
  inSquare(square, side, (r, c) => data.set(fill, (r * width + c) * channels));
  return array(x.shape, data);
}

function meanColour(x) {
  const channels = x.shape[2];
  const sums = new Float64Array(channels);
  for (let o = 0; o < x.data.length; o++) sums[o % channels] += x.data[o];
  return Float32Array.from(sums, (v) => (v * channels) / x.data.length);
}

// -- sizes, and networks that forget --------------------------------------------------------------

// A map at another size, by linear interpolation between the middles of its cells.
function resized(values, [height, width]) {
  const [rows, columns] = values.shape;
  const between = (i, from, to) => {
    const at = Math.min(Math.max(((i + 0.5) * from) / to - 0.5, 0), from - 1);
    const low = Math.floor(at);
    return [low, Math.min(low + 1, from - 1), at - low];
  };
  const found = array([height, width]);
  for (let r = 0; r < height; r++) {
    const [top, bottom, down] = between(r, rows, height);
    for (let c = 0; c < width; c++) {
      const [left, right, across] = between(c, columns, width);
      const at = (i, j) => values.data[i * columns + j];
      found.data[r * width + c] =
        (1 - down) * ((1 - across) * at(top, left) + across * at(top, right)) +
        down * ((1 - across) * at(bottom, left) + across * at(bottom, right));
    }
  }
  return found;
}

// The layers with weights, from the output down, each once.
export function forgetful(net) {
  const keys = new Set();
  return [...net.nodes].reverse().filter(({ key, params }) => {
    const own = Object.keys(params).length > 0 && !keys.has(key);
    keys.add(key);
    return own;
  });
}

// The weights of the first `count` of these layers, each weight's numbers in another order.
export function forget(net, count) {
  let seed = 7;
  const random = (n) => {
    seed = (seed * 1664525 + 1013904223) % 4294967296;
    return Math.floor((seed / 4294967296) * n);
  };
  const shuffled = (param) => {
    const data = Float32Array.from(param.data);
    for (let i = data.length - 1; i > 0; i--) {
      const j = random(i + 1);
      [data[i], data[j]] = [data[j], data[i]];
    }
    return { ...param, data };
  };
  return new Map(
    forgetful(net)
      .slice(0, count)
      .map(({ id, key }) => {
        const { params } = net.layer(id);
        const own = Object.entries(params).map(([name, param]) => [name, shuffled(param)]);
        return [key, Object.fromEntries(own)];
      }),
  );
}

// Spearman's rank correlation: NaN if all numbers of one are equal.
export function spearman(a, b) {
  const [x, y] = [ranks(a), ranks(b)];
  const middle = (x.length - 1) / 2;
  const dot = (p, q) => p.reduce((sum, v, i) => sum + (v - middle) * (q[i] - middle), 0);
  const length = Math.sqrt(dot(x, x) * dot(y, y));
  return length ? dot(x, y) / length : NaN;
}

function ranks(values) {
  const order = [...values.keys()].sort((i, j) => values[i] - values[j]);
  const found = new Float64Array(values.length);
  for (let first = 0; first < order.length;) {
    let end = first;
    while (end < order.length && values[order[end]] === values[order[first]]) end++;
    for (let i = first; i < end; i++) found[order[i]] = (first + end - 1) / 2;
    first = end;
  }
  return found;
}

// Where a map's colours end: one number in a hundred is larger.
export function endOf(pixels) {
  const sorted = Float64Array.from(pixels.data, Math.abs).sort();
  return sorted[Math.floor((size(pixels.shape) - 1) * 0.99)] || sorted.at(-1);
}
