// @ts-check
// The course of a training, on the side of the page: what was chosen, what the worker reports, and
// when the next step is made. The worker computes, so that the page never stalls.
import { array, unravel } from "page/engine/arrays.js";
import { workerOf } from "page/learn/bundle.js";
import { newWeights, obstacleToNew } from "page/learn/initial.js";
import { OPTIMIZERS } from "page/learn/optimizers.js";
import { inflate } from "page/unpack.js";
import { allWords, words } from "page/words.js";

const PAUSE = 60; // milliseconds between two steps that are played, at least

export class Course {
  /**
   * @param {Net} net
   * @param {Learning} facts
   * @param {(whole?: boolean) => void} changed called after each report; whole: all is to be drawn
   */
  constructor(net, facts, changed) {
    this.net = net;
    this.facts = facts;
    this.changed = changed;
    this.choice = {
      from: "model",
      seed: 0,
      optimizer: facts.optimizer.name,
      rate: facts.optimizer.rate,
      batch: Math.min(8, facts.y.length),
    };
    this.watched = this.firstWeight();
    this.shown = { id: this.watched.id, example: -1 };
    this.report = null;
    this.error = "";
    this.playing = false;
    this.plays = 0;
    this.waiting = new Map();
    this.number = 0;
    /** @type {any} */
    this.worker = null;
  }

  /**
   * The first weight that learns; `at` is null until a step shows where its gradient is largest.
   *
   * @returns {{id: number, name: string, at: number[] | null}}
   */
  firstWeight() {
    const id = this.facts.nodes.findIndex((node) => node.learns.length > 0);
    const name = this.facts.nodes[id].learns[0];
    return { id, name, at: null };
  }

  get obstacleToNew() {
    return obstacleToNew(this.facts.initial);
  }

  // The weights at the start, in the order of the network.
  weights() {
    if (this.choice.from === "new") return newWeights(this.facts.initial, this.choice.seed);
    const found = new Map();
    for (const node of this.net.nodes) {
      for (const name of Object.keys(node.params)) {
        const { shape, data } = this.net.originalParam(node.id, name);
        found.set(`${node.key}/${name}`, { shape, data });
      }
    }
    return found;
  }

  async unpack() {
    const { shape, palette, pixels, y } = this.facts;
    const bytes = await inflate(pixels);
    const all = palette
      ? Float32Array.from(bytes, (i) => palette[i])
      : new Float32Array(bytes.buffer);
    const n = shape.reduce((a, b) => a * b, 1);
    this.images = y.map((_, k) => array(shape, all.subarray(k * n, (k + 1) * n)));
  }

  // What the worker needs of the network.
  network() {
    const { net, facts } = this;
    const nodes = net.nodes.map(({ id, key, type, config, inputs, params }) => {
      return { id, key, type, config, inputs, params: Object.keys(params), ...facts.nodes[id] };
    });
    return { nodes, output: net.output, kind: net.kind };
  }

  // -- the worker ---------------------------------------------------------------------------------

  ask(message) {
    const number = ++this.number;
    this.worker.postMessage({ ...message, number });
    return new Promise((resolve) => this.waiting.set(number, resolve));
  }

  hear({ answers, report, error = "" }) {
    const resolve = this.waiting.get(answers);
    this.waiting.delete(answers);
    const found = !this.watched.at;
    this.error = error;
    if (report) {
      report.weights = new Map(report.weights.map(([key, shape, data]) => [key, { shape, data }]));
      this.report = report;
      const { explanation } = report;
      const { id, name, at } = this.watched;
      const mine = explanation?.key === `${this.net.nodes[id].key}/${name}`;
      if (!at && mine) {
        this.watched.at = unravel(this.net.nodes[id].params[name].shape, explanation.offset);
      }
    }
    resolve(!error);
    this.changed(found && Boolean(this.watched.at));
  }

  // Without its worker the page cannot learn.
  fail(message) {
    this.playing = false;
    this.error = words("learn.no_worker", { why: message || words("learn.refused") });
    this.changed();
  }

  // Starts over with what was chosen.
  async begin() {
    this.playing = false;
    if (!this.images) await this.unpack();
    if (!this.worker) {
      this.worker = workerOf("page/learn/worker.js");
      this.worker.onmessage = (event) => this.hear(event.data);
      this.worker.onerror = (event) => this.fail(event.message);
    }
    const { optimizer, rate, batch, seed } = this.choice;
    this.ask({
      action: "start",
      words: allWords(),
      net: this.network(),
      weights: [...this.weights()],
      xs: this.images,
      targets: this.facts.y,
      ...{ optimizer, rate, batch, seed },
    });
    this.show({});
    return this.watch(this.watched);
  }

  // -- what the reader does -----------------------------------------------------------------------

  get step() {
    return this.report?.step ?? 0;
  }

  get steps() {
    return this.report?.history.length ?? 0;
  }

  choose(patch) {
    Object.assign(this.choice, patch);
    if ("optimizer" in patch) this.choice.rate = OPTIMIZERS[patch.optimizer].rate;
    if (Object.keys(patch).join() === "rate") {
      return this.ask({ action: "rate", rate: patch.rate });
    }
    return this.begin();
  }

  take(count = 1) {
    return this.ask({ action: "step", count });
  }

  go(step) {
    this.playing = false;
    return this.ask({ action: "go", step });
  }

  // Goes back a step, from where the steps that were asked for before lead.
  back() {
    this.playing = false;
    return this.take(-1);
  }

  watch({ id, name, at }) {
    this.watched = { id, name, at };
    const { shape } = this.net.nodes[id].params[name];
    const offset = at && at.reduce((o, v, axis) => o * shape[axis] + v, 0);
    return this.ask({ action: "watch", key: `${this.net.nodes[id].key}/${name}`, offset });
  }

  // Shows the maps of a layer (id) for one of the examples, or -1: for the page's photo.
  show(patch) {
    Object.assign(this.shown, patch);
    const photo = this.shown.example < 0 ? this.net.original(0) : null;
    return this.ask({ action: "show", ...this.shown, photo });
  }

  async play(on) {
    this.playing = on;
    const mine = ++this.plays; // one loop plays, though it is stopped and begun again at once
    this.changed();
    while (this.playing && mine === this.plays) {
      const pause = new Promise((resolve) => setTimeout(resolve, PAUSE));
      if (!(await this.take())) this.playing = false;
      await pause;
    }
  }
}
