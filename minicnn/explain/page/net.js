// @ts-check
// The model in the page: its graph, what minicnn computed, and what the page computes from it.
import { array } from "page/engine/arrays.js";
import { lossAtLogits, lossAtOutput, probabilities } from "page/engine/loss.js";
import {
  backward,
  backwardAsync,
  forward,
  forwardAsync,
  throughActivation,
  needsZ,
} from "page/engine/passes.js";
import { layerWindow } from "page/engine/windows.js";
import { KINDS } from "page/kinds/table.js";
import { said, words } from "page/words.js";

// Their rows and columns are not those of their inputs.
const MIXING = new Set(["Permute", "Reshape"]);

const WORK = 12; // milliseconds between two pauses; browsers make each pause last four or more
let rested = 0;

// Lets the browser respond, if it has waited for a while.
export async function breathe() {
  if (Date.now() - rested < WORK) return;
  await new Promise((resolve) => setTimeout(resolve));
  rested = Date.now();
}

// The value of each of the 65,536 half-precision numbers.
const HALVES = new Float32Array(65536);
for (let e = 0; e < 32; e++) {
  const unit = 2 ** (Math.max(e, 1) - 25);
  for (let m = 0; m < 1024; m++) {
    const v = (e ? 1024 + m : m) * unit;
    HALVES[(e << 10) + m] = v;
    HALVES[0x8000 + (e << 10) + m] = -v;
  }
}

// A loop: `Float32Array.from(half, f)` takes several times as long.
function unpackHalf(half, scale) {
  const numbers = new Float32Array(half.length);
  for (let i = 0; i < half.length; i++) numbers[i] = HALVES[half[i]] * scale;
  return numbers;
}

export class Net {
  // What is changed in the page: by layer and weight, by layer, and by node and number.
  /** @type {Map<string, Param>} */
  changedParams = new Map();
  /** @type {Map<string, Record<string, any>>} */
  changedConfigs = new Map();
  /** @type {Map<number, Map<number, number>>} */
  changedCells = new Map();
  // What follows from that, as far as it is known: by node, or by the array y.
  /** @type {Map<number, any>} */
  alternatives = new Map(); // an array, or why there is none
  /** @type {WeakMap<Tensor, Tensor>} */
  before = new WeakMap(); // what went into the activation that made it
  /** @type {Map<number, any>} */
  gradients = new Map();
  /** @type {Map<number, boolean>} */
  known = new Map(); // whether there is a gradient
  /** @type {Map<number, any>} */
  passes = new Map();

  /**
   * @param {Facts} facts
   * @param {Uint8Array} bytes
   */
  constructor(facts, bytes) {
    this.nodes = facts.nodes;
    this.arrays = facts.arrays;
    this.kinds = facts.kinds;
    this.kind = facts.kind;
    this.target = facts.target;
    this.output = facts.output;
    this.range = facts.range;
    this.classes = facts.classes;
    this.facts = facts;
    this.name = facts.model; // beside other networks
    this.interpolation = facts.interpolation;
    // Each has `values`, the outputs of all layers for it as far as the page knows them.
    this.photos = facts.photos.map((photo, k) => ({
      ...photo,
      get name() {
        return photo.name ?? words("photos.nameless", { k });
      },
      values: new Map(),
    }));
    this.stored = facts.stored ?? 1; // of so many photos minicnn's outputs are in the page
    this.shown = 0; // which photo
    this.targetChosen = false; // by the reader, for all photos
    this.learning = facts.learning ?? null;
    this.checkpoints = facts.checkpoints ?? [];
    this.bytes = bytes;
    this.target0 = this.target; // the class whose gradients are stored
    this.decoded = new Map();
    this.nodes.forEach((node, id) => {
      node.id = id;
      node.key = [...node.path, node.layer].join("/");
      node.consumers = [];
      for (const input of node.inputs) this.nodes[input].consumers.push(id);
    });
    this.reset();
  }

  numbers(at) {
    if (at === null || at === undefined) return null;
    if (!this.decoded.has(at)) {
      const t = this.arrays[at];
      const start = this.bytes.byteOffset + t.at;
      this.decoded.set(
        at,
        t.half
          ? unpackHalf(new Uint16Array(this.bytes.buffer, start, t.n), t.scale)
          : new Float32Array(this.bytes.buffer, start, t.n),
      );
    }
    return this.decoded.get(at);
  }

  get title() {
    return said(this.facts.title);
  }

  // What is left out of the page.
  get notes() {
    return this.facts.notes.map(said);
  }

  // -- weights, as stored or as changed -----------------------------------------------------------

  // {shape, data, kept}: kept lists the filters that the page has; null means all of them.
  param(id, name) {
    const node = this.nodes[id];
    const changed = this.changedParams.get(`${node.key}/${name}`);
    return changed ?? this.originalParam(id, name);
  }

  originalParam(id, name) {
    const found = this.nodes[id].params[name];
    return found && { shape: found.shape, data: this.numbers(found.at), kept: found.kept };
  }

  // The layer as engine/passes.js wants it.
  layer(id) {
    const node = this.nodes[id];
    const params = {};
    for (const name of Object.keys(node.params)) params[name] = this.param(id, name);
    const config = { ...node.config, ...this.changedConfigs.get(node.key) };
    return { type: node.type, config, params };
  }

  // The same without changes.
  originalLayer(id) {
    const { type, config, params: described } = this.nodes[id];
    const params = {};
    for (const name of Object.keys(described)) params[name] = this.originalParam(id, name);
    return { type, config, params };
  }

  // Why the page cannot compute the whole layer, or "".
  obstacle(id) {
    const node = this.nodes[id];
    if (!node.known) return words("page.no_formula", { type: node.type });
    const { length } = Object.keys(node.params);
    if (node.count && !length) return words("note.rival", { name: this.name });
    const partial = Object.values(node.params).find((p) => p.kept);
    if (!partial) return "";
    const n = partial.shape[partial.shape.length - 1];
    const key = node.type === "Dense" ? "page.units_left_out" : "page.kernels_left_out";
    return words(key, { k: n - (partial.kept ?? []).length, n, name: node.name });
  }

  // Why the page cannot compute the gradients of another class or number, or "": that takes all
  // layers.
  get obstacleToAnother() {
    for (const { id, name } of this.nodes) {
      const why =
        this.obstacle(id) || (this.hasOriginal(id) ? "" : words("page.outputs_left_out", { name }));
      if (why) return why;
    }
    return "";
  }

  // Why the model cannot learn in the page, or "".
  get obstacleToLearning() {
    if (this.learning?.obstacle) return said(this.learning.obstacle);
    const cut = this.nodes.find(({ id }) => this.obstacle(id));
    if (cut) return this.obstacle(cut.id);
    const half = this.nodes.find(({ id }) => this.hasHalfWeights(id));
    return half ? words("page.too_few_bits", { name: half.name }) : "";
  }

  // Why the page cannot follow a change of a layer (`own`) or of its output to the end, or "".
  barrier(id, own = true) {
    const touched = new Set([id]);
    for (const node of this.nodes) {
      const reached = node.inputs.some((n) => touched.has(n));
      if (!reached && !(own && node.id === id)) continue;
      touched.add(node.id);
      const lost = node.inputs.find((n) => !touched.has(n) && !this.has(n));
      const why = this.obstacle(node.id) || (lost === undefined ? "" : this.reason(lost));
      if (why) return why;
    }
    return "";
  }

  // Whether the page stores numbers of a layer, or those they are computed from, with 11 bits.
  isRounded(id) {
    const half = (at) => at !== null && at !== undefined && this.arrays[at].half;
    const behind = (n) =>
      half(this.nodes[n].y) || (this.nodes[n].y === null && this.nodes[n].inputs.some(behind));
    return (
      half(this.nodes[id].dy) ||
      Object.values(this.nodes[id].params).some((p) => half(p.at)) ||
      [id, ...this.nodes[id].inputs].some(behind)
    );
  }

  hasHalfWeights = (id) =>
    Object.values(this.nodes[id].params).some((p) => this.arrays[p.at]?.half);

  // What a layer's output consists of: maps of cells, or a row of units (or numbers).
  unitWord = (id) =>
    this.shape(id).length === 3 ? "map" : this.nodes[id].type === "Dense" ? "unit" : "number";

  // -- values -------------------------------------------------------------------------------------

  reset() {
    this.checkpoint = null; // the number of the one that is shown; null: the model itself
    this.changedParams = new Map();
    this.changedConfigs = new Map();
    this.changedCells = new Map();
    this.before = new WeakMap();
    this.alternatives = new Map();
    this.forget();
  }

  // Takes the weights of a checkpoint; null: those of the model.
  takeCheckpoint(k) {
    this.reset();
    this.checkpoint = k;
    for (const [key, { shape, at }] of Object.entries(this.checkpoints[k]?.weights ?? {})) {
      this.changedParams.set(key, { shape, data: this.numbers(at), kept: null });
    }
  }

  forget() {
    this.known = new Map();
    this.gradients = new Map();
    this.passes = new Map();
  }

  get changed() {
    return this.changedParams.size + this.changedConfigs.size + this.changedCells.size > 0;
  }

  // Whether the stored gradients are those of the loss and the network shown.
  get asStored() {
    const own = this.shown === 0 && this.stored > 0;
    return own && !this.changed && this.target === this.target0;
  }

  // The output for the unchanged network and the photo shown; null if left out.
  original = (id) => this.valueOf(this.shown, id);

  // The same for one of the photos: what minicnn computed is stored for the first one, or computed
  // again if that is quick; for the others it is computed beforehand (`compute`), unless the page
  // lacks kernels for that, and has stored outputs for all.
  valueOf(photo, id) {
    const { values } = this.photos[photo];
    if (photo < this.stored && !values.has(id)) values.set(id, this.storedValue(photo, id));
    return values.get(id) ?? null;
  }

  storedValue(photo, id) {
    const node = this.nodes[id];
    const stored = this.numbers(this.storedAt(photo, id));
    if (stored || !node.light) return stored && array(node.shape, stored);
    const xs = node.inputs.map((input) => this.valueOf(photo, input));
    return xs.every(Boolean) ? forward(this.originalLayer(id), xs).y : null;
  }

  storedAt = (photo, id) => (photo ? this.nodes[id].others[photo - 1] : this.nodes[id].y);

  isStored = (id) => this.shown < this.stored && this.storedAt(this.shown, id) !== null;

  hasOriginal(id) {
    const node = this.nodes[id];
    return (
      this.shown >= this.stored ||
      this.isStored(id) ||
      (node.light && node.inputs.every((n) => this.hasOriginal(n)))
    );
  }

  // Whether the page knows y(id), without computing it.
  has(id) {
    const found = this.alternatives.get(id);
    return found === undefined ? this.hasOriginal(id) : typeof found !== "string";
  }

  // The layer's output now, after all changes; null where the page does not know it.
  y(id) {
    const found = this.alternatives.get(id);
    if (found === undefined) return this.original(id);
    return typeof found === "string" ? null : found;
  }

  inputs = (id) => this.nodes[id].inputs.map((input) => this.y(input));

  // Without unpacking the numbers; another one only after a change.
  shape = (id) => this.alternatives.get(id)?.shape ?? this.nodes[id].shape;

  // Why y(id) is null.
  reason(id) {
    const found = this.alternatives.get(id);
    return typeof found === "string"
      ? found
      : words("page.outputs_left_out", { name: this.nodes[id].name });
  }

  // -- photos -------------------------------------------------------------------------------------

  get photo() {
    return this.photos[this.shown];
  }

  // Why the page shows only the photo that it was made for, or "".
  get obstacleToPhotos() {
    const why = this.nodes.map(({ id }) => this.obstacle(id)).find(Boolean);
    return why ? words("photos.left_out", { why }) : "";
  }

  // The pixels of a photo, as the model sees them.
  pixelsOf(photo) {
    const { shape } = this.nodes[0];
    const given = this.photos[photo];
    return given.x ?? array(shape, this.numbers(given.at));
  }

  // Computes all layers' outputs for a photo. `current` says whether to go on.
  async compute(photo, current = () => true) {
    if (photo < this.stored || this.photos[photo].values.size) return true;
    /** @type {Map<number, any>} */
    const values = new Map([[0, this.pixelsOf(photo)]]);
    for (const { id, inputs } of this.nodes.slice(1)) {
      const xs = inputs.map((input) => values.get(input));
      values.set(id, (await forwardAsync(this.originalLayer(id), xs, breathe)).y);
      await breathe();
      if (!current()) return false;
    }
    this.photos[photo].values = values;
    return true;
  }

  // Shows a photo whose outputs are computed; what-if changes of weights stay.
  async show(photo, current) {
    this.shown = photo;
    this.changedCells.clear();
    this.alternatives = new Map();
    this.forget();
    if (!this.targetChosen) this.target = photo ? this.likeliest() : this.target0;
    return !this.changed || (await this.recompute(current));
  }

  // The class that the photo shown most likely belongs to; without classes, the chosen number.
  likeliest() {
    const p = this.probabilities(this.original(this.output));
    return p ? p.indexOf(Math.max(...p)) : this.target;
  }

  // Recomputes everything behind the changes. `current` says whether to go on.
  async recompute(current = () => true, only = null) {
    const results = new Map();
    for (const node of this.nodes) {
      const id = node.id;
      const xs = node.inputs.map((input) => results.get(input) ?? this.original(input));
      const cells = this.changedCells.get(id);
      const own =
        this.changedConfigs.has(node.key) ||
        Object.keys(node.params).some((name) => this.changedParams.has(`${node.key}/${name}`));
      const touched = own || node.inputs.some((input) => results.has(input));
      if (!touched && !cells) continue;
      let value = this.original(id);
      if (touched) {
        const blocked = xs.find((x) => typeof x === "string");
        if (blocked) value = blocked;
        else if (this.obstacle(id)) value = this.obstacle(id);
        else if (!xs.every(Boolean)) value = words("page.input_is_left_out");
        else {
          try {
            value = (await forwardAsync(this.layer(id), xs, breathe)).y;
          } catch (error) {
            value = error.message;
          }
        }
        await breathe();
        if (!current()) return false;
      }
      if (cells && value && typeof value !== "string") {
        value = array(value.shape, Float32Array.from(value.data));
        for (const [offset, v] of cells) if (offset < value.data.length) value.data[offset] = v;
      }
      results.set(id, value ?? this.reason(id));
      if (id === only) break;
    }
    this.alternatives = results;
    this.forget();
    return true;
  }

  // -- classes ------------------------------------------------------------------------------------

  probabilities(y = this.y(this.output)) {
    return this.kind && y ? probabilities(this.kind, y) : null;
  }

  className(k) {
    return this.classes[k] ?? words("word.class", { k });
  }

  // The name of a unit: a score has the name of its class.
  unitName(id, k) {
    return id === this.output && ["softmax", "logits"].includes(this.kind)
      ? this.className(k)
      : words("word.unit_k", { k });
  }

  // L in words: what the gradients are of.
  get goal() {
    return this.kind ? words("goal.loss") : words("goal.number");
  }

  // L: the loss or, for a model without classes, one number of its output.
  loss(p = this.probabilities()) {
    if (!this.kind) return this.y(this.output)?.data[this.target] ?? null;
    return p ? -Math.log(Math.max(p[this.target], 1e-7)) : null;
  }

  // -- gradients ----------------------------------------------------------------------------------

  // d loss / d output of a layer: stored, or computed from the layers behind it; null if the page
  // does not know it.
  dy(id) {
    if (!this.gradients.has(id)) this.gradients.set(id, this.findGradient(id));
    return this.gradients.get(id);
  }

  // Whether the page knows dy(id), without computing it.
  hasGradient(id) {
    if (!this.known.has(id)) {
      const stored = this.asStored && this.nodes[id].dy !== null;
      this.known.set(
        id,
        stored ||
          (id === this.output
            ? this.has(id)
            : this.nodes[id].consumers.length > 0 &&
              this.nodes[id].consumers.every((n) => !this.obstacleBack(n))),
      );
    }
    return this.known.get(id);
  }

  // Why the page cannot take a gradient back through a layer, or "".
  obstacleBack(id) {
    if (this.obstacle(id)) return this.obstacle(id);
    const lost = [id, ...this.nodes[id].inputs].find((n) => !this.has(n));
    if (lost !== undefined) return this.reason(lost);
    return this.hasGradient(id) ? "" : this.gradientReason(id);
  }

  // Why dy(id) is null, or "".
  gradientReason(id) {
    if (this.hasGradient(id)) return "";
    if (this.nodes[id].dy !== null && this.changed) {
      return words("page.unchanged_gradients", { why: this.firstObstacle(id) });
    }
    return this.firstObstacle(id);
  }

  firstObstacle(id) {
    if (id === this.output) return this.reason(id);
    return (
      this.nodes[id].consumers.map((n) => this.obstacleBack(n)).find(Boolean) ??
      words("page.nothing_behind")
    );
  }

  // Why the page cannot go backward at all, or "".
  get noBackward() {
    if (this.nodes.some(({ id }) => id !== this.output && this.hasGradient(id))) return "";
    return this.gradientReason(this.nodes[this.output].inputs[0] ?? this.output);
  }

  storedGradient(id) {
    const node = this.nodes[id];
    const stored = this.numbers(node.dy);
    return stored && array(node.shape, stored);
  }

  findGradient(id) {
    const stored = this.asStored ? this.storedGradient(id) : null;
    if (stored) return stored;
    if (id === this.output) {
      const y = this.y(id);
      return y && lossAtOutput(this.kind, y, this.target);
    }
    /** @type {Tensor | null} */
    let sum = null;
    for (const consumer of new Set(this.nodes[id].consumers)) {
      const pass = this.pass(consumer);
      if (!pass) return null;
      this.nodes[consumer].inputs.forEach((input, k) => {
        if (input !== id) return;
        const dx = pass.dxs[k];
        sum = sum
          ? array(
              dx.shape,
              Float64Array.from(sum.data, (v, i) => v + dx.data[i]),
            )
          : dx;
      });
    }
    return sum;
  }

  // d loss / d z of a layer, before its activation.
  dz(id) {
    const y = this.y(id);
    if (id === this.output && ["softmax", "sigmoid"].includes(this.kind) && y) {
      return array(y.shape, lossAtLogits(this.kind, probabilities(this.kind, y), this.target));
    }
    const dy = this.dy(id);
    if (!dy || !y) return null;
    return throughActivation(this.layer(id), { z: this.z(id, y), y }, dy);
  }

  // What went into a layer's activation, computed again if y does not show the slope.
  z(id, y) {
    const layer = this.layer(id);
    const xs = this.inputs(id);
    if (!needsZ(layer) || !xs.every(Boolean) || this.obstacle(id)) return y;
    if (!this.before.has(y)) this.before.set(y, forward(layer, xs).z ?? y);
    return this.before.get(y);
  }

  /**
   * What `backward` needs for one layer; null if the page cannot compute it.
   * @param {number} id
   * @returns {[Layer, Tensor[], Output, Tensor, Tensor] | null}
   */
  backwardArguments(id) {
    const xs = this.inputs(id);
    const y = this.y(id);
    const dz = this.dz(id);
    if (!dz || !y || !xs.length || !xs.every(Boolean) || this.obstacle(id)) return null;
    return [this.layer(id), xs, { z: this.z(id, y), y }, this.dy(id) ?? dz, dz];
  }

  // The whole backward pass of one layer: {dxs, grads}.
  pass(id) {
    if (!this.passes.has(id)) {
      const given = this.backwardArguments(id);
      this.passes.set(id, given && backward(...given));
    }
    return this.passes.get(id);
  }

  // Computes all gradients from the loss to the photo, with pauses, before anything asks for them.
  async prepareBackward(current = () => true) {
    const known = (id) => this.asStored && this.nodes[id].dy !== null;
    for (const { id, inputs } of [...this.nodes].reverse()) {
      this.dy(id);
      if (!inputs.every(known) && !this.passes.has(id)) {
        const given = this.backwardArguments(id);
        const found = given && (await backwardAsync(breathe, ...given));
        if (!current()) return;
        this.passes.set(id, found);
      }
      await breathe();
      if (!current()) return;
    }
  }

  storedWeightGradient(id, name) {
    const at = this.nodes[id].grads[name];
    return !this.asStored || at === undefined ? null : this.numbers(at);
  }

  // -- where a cell looks -------------------------------------------------------------------------

  // [first, last] row and [first, last] column of the cells of a layer whose window lies wholly
  // inside: with `deep` inside the photo, through all layers; otherwise inside the input of the
  // nearest layer with a window. null if there are no such cells, or no rows and columns.
  innerCells(id, deep) {
    const shape = this.shape(id);
    const node = this.nodes[id];
    if (shape.length !== 3) return null;
    const all = [0, shape[0] - 1, 0, shape[1] - 1];
    if (!node.inputs.length || !node.known) return all;
    const layer = this.layer(id);
    let box = all;
    for (const input of node.inputs) {
      const from = this.shape(input);
      const w = from.length === 3 ? layerWindow(layer, from) : null;
      if (from.length !== 3 || MIXING.has(node.type)) return all;
      const wide = w && w.kernel.some((k) => k > 1);
      const whole = [0, from[0] - 1, 0, from[1] - 1];
      const pad = this.nodes[input].type === "ZeroPadding2D";
      const inner = deep || !wide || pad ? this.innerCells(input, deep) : whole;
      if (!inner) return null;
      const filled = KINDS[node.type]?.fills?.(layer, inner, from) ?? inner;
      const ends = [0, 1].flatMap((a) =>
        w
          ? [
              Math.ceil((inner[2 * a] + w.before[a]) / w.strides[a]),
              Math.floor(
                (inner[2 * a + 1] + w.before[a] - (w.kernel[a] - 1) * w.dilation[a]) / w.strides[a],
              ),
            ]
          : [filled[2 * a], filled[2 * a + 1]],
      );
      box = box.map((v, k) => (k % 2 ? Math.min(v, ends[k]) : Math.max(v, ends[k])));
    }
    return box[0] <= box[1] && box[2] <= box[3] ? box : null;
  }

  // The same for a layer's input: the cells that all taps of its window read.
  readCells(id, input) {
    const from = this.shape(input);
    const w = from.length === 3 && this.nodes[id].known ? layerWindow(this.layer(id), from) : null;
    if (!w) return this.innerCells(input, false);
    const box = [0, 1].flatMap((a) =>
      [
        (w.kernel[a] - 1) * w.dilation[a] - w.before[a],
        (w.out[a] - 1) * w.strides[a] - w.before[a],
      ].map((v) => Math.max(0, Math.min(from[a] - 1, v))),
    );
    return box[0] <= box[1] && box[2] <= box[3] ? box : null;
  }

  // The rows and columns of the photo that a cell of a layer, or the whole layer, sees.
  field(id, at) {
    const [height, width] = this.nodes[0].shape;
    const all = [0, height - 1, 0, width - 1];
    const boxes = new Map([[id, at.length === 3 ? [at[0], at[0], at[1], at[1]] : all]]);
    for (let n = id; n > 0; n--) {
      const box = boxes.get(n);
      const node = this.nodes[n];
      const reads = KINDS[node.type]?.reads;
      if (!box) continue;
      for (const input of node.inputs) {
        const shape = this.shape(input);
        let back = box;
        if (shape.length !== 3 || this.shape(n).length !== 3) back = all;
        else if (node.type.startsWith("Global") || MIXING.has(node.type)) {
          back = [0, shape[0] - 1, 0, shape[1] - 1];
        } else if (node.known && reads) {
          back = reads(this.layer(n), box, shape);
        } else {
          const w = node.known ? layerWindow(this.layer(n), shape) : null;
          if (w) {
            const low = (a, o) => o * w.strides[a] - w.before[a];
            const high = (a, o) => low(a, o) + (w.kernel[a] - 1) * w.dilation[a];
            back = [low(0, box[0]), high(0, box[1]), low(1, box[2]), high(1, box[3])];
          }
        }
        const [h, v] = shape.length === 3 ? shape : [height, width];
        back = [
          Math.max(back[0], 0),
          Math.min(back[1], h - 1),
          Math.max(back[2], 0),
          Math.min(back[3], v - 1),
        ];
        const old = boxes.get(input);
        boxes.set(
          input,
          old
            ? [
                Math.min(old[0], back[0]),
                Math.max(old[1], back[1]),
                Math.min(old[2], back[2]),
                Math.max(old[3], back[3]),
              ]
            : back,
        );
      }
    }
    return boxes.get(0) ?? all;
  }
}
