// @ts-check
// A network that learns, and can go back: its weights, the optimizer's state, snapshots of both.
//
// The batches are the examples in turn, round and round. Every step depends on
// nothing but what was there before it, so going back and on again gives the same numbers.
import { look, penaltyOf, trainOn } from "page/learn/batch.js";
import { OPTIMIZERS, apply } from "page/learn/optimizers.js";
import { Generator } from "page/learn/random.js";

const ROOM = 96e6; // bytes that snapshots may take

const copyOf = (state) => ({
  step: state.step,
  weights: new Map([...state.weights].map(([k, p]) => [k, { ...p, data: p.data.slice() }])),
  slots: new Map(
    [...state.slots].map(([key, slots]) => [
      key,
      Object.fromEntries(Object.entries(slots).map(([name, a]) => [name, a.slice()])),
    ]),
  ),
  generators: new Map([...state.generators].map(([key, g]) => [key, g.copy()])),
});

function bytesOf({ weights, slots }) {
  let n = 0;
  for (const { data } of weights.values()) n += data.byteLength;
  for (const held of slots.values()) for (const a of Object.values(held)) n += a.byteLength;
  return n;
}

export class Learner {
  /**
   * @param {any} given net: {nodes, output, kind}; weights: Map of "layer/weight" to {shape, data};
   * xs, targets: the examples; optimizer: a name of OPTIMIZERS; rate; batch: how many examples a
   * step; seed: of the random numbers that layers draw
   */
  constructor(given) {
    this.net = given.net;
    this.xs = given.xs;
    this.targets = given.targets;
    this.optimizer = given.optimizer;
    this.rate = given.rate;
    this.batch = given.batch;
    this.state = { step: 0, weights: given.weights, slots: new Map(), generators: new Map() };
    this.state.generators.set("", new Generator(given.seed ?? 0));
    for (const node of this.net.nodes) {
      if (node.seed !== null) this.state.generators.set(node.key, new Generator(node.seed));
      for (const name of node.learns) this.addSlots(`${node.key}/${name}`);
    }
    this.state = copyOf(this.state);
    this.history = []; // of each step: {loss, accuracy, rate, examples, chances}
    /** @type {any} */
    this.watched = null; // {key, name, offset, node}
    /** @type {any} */
    this.last = null; // what is known of the last step
    /** @type {any} */
    this.before = null; // the state before it
    this.every = 1;
    this.snapshots = [copyOf(this.state)];
    this.most = Math.max(4, Math.floor(ROOM / Math.max(1, bytesOf(this.state))));
  }

  addSlots(key) {
    const n = this.state.weights.get(key).data.length;
    const names = OPTIMIZERS[this.optimizer].rule.slots;
    this.state.slots.set(key, Object.fromEntries(names.map((s) => [s, new Float32Array(n)])));
  }

  get step() {
    return this.state.step;
  }

  // The numbers of the examples of a step.
  examplesOf(step) {
    const n = this.xs.length;
    return Array.from({ length: this.batch }, (_, k) => (step * this.batch + k) % n);
  }

  // -- one step -----------------------------------------------------------------------------------

  pass(state) {
    const examples = this.examplesOf(state.step);
    return trainOn({
      net: this.net,
      weights: state.weights,
      xs: examples.map((i) => this.xs[i]),
      targets: examples.map((i) => this.targets[i]),
      random: (node) => state.generators.get(node.key) ?? state.generators.get(""),
      watch: this.watched,
    });
  }

  advance() {
    const { state, history } = this;
    this.before = copyOf(state);
    const found = this.pass(state);
    const rate = history[state.step]?.rate ?? this.rate;
    let penalty = 0;
    const done = new Set();
    for (const node of this.net.nodes) {
      for (const name of node.learns) {
        const key = `${node.key}/${name}`;
        if (done.has(key)) continue; // of a layer that is used twice
        done.add(key);
        const { data } = state.weights.get(key);
        const g = found.grads.get(key).data;
        const extra = penaltyOf(node.config, name);
        if (extra) {
          penalty += extra.value(data);
          for (let i = 0; i < data.length; i++) g[i] += extra.slope(data[i]);
        }
        apply(this.optimizer, data, g, state.slots.get(key), { rate }, state.step + 1);
      }
    }
    history[state.step] ??= {
      loss: found.loss + penalty,
      accuracy: found.right.filter(Boolean).length / found.right.length,
      rate,
      examples: this.examplesOf(state.step),
      chances: found.chances,
    };
    state.step += 1;
    this.last = { grads: found.grads, shares: found.shares };
    if (this.watched?.offset === null) this.findShares();
    this.keep();
  }

  keep() {
    const { snapshots, state } = this;
    if (state.step % this.every || snapshots.some((s) => s.step === state.step)) return;
    snapshots.push(copyOf(state));
    if (snapshots.length <= this.most) return;
    this.every *= 2;
    this.snapshots = snapshots.filter((s) => s.step % this.every === 0);
  }

  // Goes to a step: back to the last snapshot before it, and on from there.
  go(step) {
    if (step < this.step) {
      const from = step ? step - 1 : 0; // so that the last step is computed, and can be explained
      const near = this.snapshots
        .filter((s) => s.step <= from)
        .reduce((a, b) => (b.step > a.step ? b : a));
      this.state = copyOf(near);
      this.last = null;
    }
    while (this.step < step) this.advance();
  }

  // The learning rate from the next step on: what came after it is forgotten.
  setRate(rate) {
    if (rate === this.rate && this.history.length === this.step) return;
    this.rate = rate;
    this.history.length = this.step;
    this.snapshots = this.snapshots.filter((s) => s.step <= this.step);
  }

  // -- what is shown ------------------------------------------------------------------------------

  // Watches a number of a weight; without an offset the one with the largest gradient.
  watch(key, offset = null) {
    const node = this.net.nodes.find((n) => n.learns.some((name) => key === `${n.key}/${name}`));
    const name = key.slice(node.key.length + 1);
    this.watched = { key, name, offset, node: node.id };
    if (this.last) this.findShares();
  }

  // What each example of the last step gave to the watched number.
  findShares() {
    const { watched, before, last } = this;
    const g = last.grads.get(watched.key).data;
    watched.offset ??= g.reduce((best, v, i) => (Math.abs(v) > Math.abs(g[best]) ? i : best), 0);
    last.shares = this.pass(copyOf(before)).shares;
  }

  // The last step of the watched weight, in numbers; null before the first step.
  explanation() {
    const { watched, last, before, state, history } = this;
    if (!watched || !last) return null;
    const { key, name, offset, node } = watched;
    const at = state.step - 1;
    const w = before.weights.get(key).data[offset];
    const slots = Object.fromEntries(
      Object.entries(before.slots.get(key)).map(([slot, a]) => [slot, a[offset]]),
    );
    const slope = penaltyOf(this.net.nodes[node].config, name)?.slope(w) ?? 0;
    return {
      step: state.step,
      key,
      offset,
      shares: history[at].examples.map((example, n) => ({ example, share: last.shares[n] })),
      penalty: slope,
      gradient: last.grads.get(key).data[offset],
      w,
      slots,
      given: { rate: history[at].rate },
      optimizer: this.optimizer,
      after: state.weights.get(key).data[offset],
      moved: state.weights.get(key).data.map((v, i) => v - before.weights.get(key).data[i]),
    };
  }

  // The outputs of a layer for one image now.
  maps(id, x) {
    return look(this.net, this.state.weights, x, id)[id];
  }
}
