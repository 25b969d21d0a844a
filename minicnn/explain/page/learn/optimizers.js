// @ts-check
// What an optimizer does to the weights, step for step as in minicnn (optimizers/usual.py). A rule
// has
//
//   slots                        the names of what it keeps for each weight
//   update(g, s, c, t)           what is added to one weight: g is its gradient, s its slots, which
//                                change; c the settings, t the step, from 1
//   lines(g, before, c, t)       the same in words: [name, formula, value], the update last
import { short } from "page/explain/terms.js";
import { raised } from "page/powers.js";
import { words } from "page/words.js";

const f32 = Math.fround;

// A formula with the name of the learning rate.
const rated = (formula) => formula.replaceAll("{rate}", words("learn.rate_name"));

export const formulaOf = (name) => `${words("learn.update")} = ${rated(OPTIMIZERS[name].formula)}`;

const SGD = {
  slots: [],
  update: (g, s, c) => -(g * c.rate),
  lines: (g, s, c) => [
    [words("learn.update"), rated(`−{rate}·g = −${short(c.rate)}·${short(g)}`), -(g * c.rate)],
  ],
};

const velocity = (g, s, c) => f32(s.momentum * c.momentum) - f32(g * c.rate);

const Momentum = {
  slots: ["momentum"],
  update(g, s, c) {
    s.momentum = velocity(g, s, c);
    return c.nesterov ? s.momentum * c.momentum - g * c.rate : s.momentum;
  },
  lines(g, s, c) {
    const v = velocity(g, s, c);
    const [kept, down] = [short(c.momentum), short(c.rate)];
    const step = `{rate}·g = ${kept}·${short(s.momentum)} − ${down}·${short(g)}`;
    const ahead = c.momentum * v - c.rate * g;
    return [
      ["v", rated(`momentum·v − ${step}`), v],
      c.nesterov
        ? [words("learn.update"), rated("momentum·v − {rate}·g"), ahead]
        : [words("learn.update"), "v", v],
    ];
  },
};

const corrected = (c, t) => (c.rate * Math.sqrt(1 - c.beta_2 ** t)) / (1 - c.beta_1 ** t);
const towards = (old, now, share) => old + f32(now - old) * f32(share);

const Adam = {
  slots: ["momentum", "velocity"],
  update(g, s, c, t) {
    s.momentum = f32(towards(s.momentum, g, 1 - c.beta_1));
    s.velocity = f32(towards(s.velocity, g * g, 1 - c.beta_2));
    return -(s.momentum * corrected(c, t)) / (Math.sqrt(s.velocity) + c.epsilon);
  },
  lines(g, s, c, t) {
    const m = towards(s.momentum, g, 1 - c.beta_1);
    const v = towards(s.velocity, g * g, 1 - c.beta_2);
    const rate = corrected(c, t);
    const root = Math.sqrt(v) + c.epsilon;
    const mean = (beta, old, name, now) =>
      `${beta}·${short(old)} + ${short(1 - beta)}·${name}, ${name} = ${short(now)}`;
    return [
      ["m", mean(c.beta_1, s.momentum, "g", g), m],
      ["v", mean(c.beta_2, s.velocity, "g²", g * g), v],
      [
        words("learn.rate_name"),
        `${short(c.rate)}·√(1 − ${c.beta_2}${raised(t)}) / (1 − ${c.beta_1}${raised(t)})`,
        rate,
      ],
      ["√v + ε", `√(${short(v)}) + ${short(c.epsilon)}`, root],
      [words("learn.update"), rated("−{rate}·m / (√v + ε)"), (-rate * m) / root],
    ];
  },
};

const RMSprop = {
  slots: ["velocity"],
  update(g, s, c) {
    s.velocity = f32(f32(s.velocity * c.rho) + f32(1 - c.rho) * g * g);
    return -(g * c.rate) / Math.sqrt(s.velocity + c.epsilon);
  },
  lines(g, s, c) {
    const v = c.rho * s.velocity + (1 - c.rho) * g * g;
    const root = Math.sqrt(v + c.epsilon);
    return [
      ["v", `${c.rho}·${short(s.velocity)} + ${short(1 - c.rho)}·g², g = ${short(g)}`, v],
      ["√(v + ε)", `√(${short(v)} + ${short(c.epsilon)})`, root],
      [words("learn.update"), rated("−{rate}·g / √(v + ε)"), (-c.rate * g) / root],
    ];
  },
};

// By the name in the page's list: the rule, its settings with Keras's defaults, and the update's
// formula.
const FIRST = { beta_1: 0.9, beta_2: 0.999, epsilon: 1e-7 };
export const OPTIMIZERS = {
  SGD: { rule: SGD, rate: 0.01, settings: {}, formula: "−{rate}·g" },
  "SGD, momentum": {
    rule: Momentum,
    rate: 0.01,
    settings: { momentum: 0.9, nesterov: false },
    formula: "v = momentum·v − {rate}·g",
  },
  "SGD, Nesterov": {
    rule: Momentum,
    rate: 0.01,
    settings: { momentum: 0.9, nesterov: true },
    formula: "momentum·v − {rate}·g, v = momentum·v − {rate}·g",
  },
  RMSprop: {
    rule: RMSprop,
    rate: 0.001,
    settings: { rho: 0.9, epsilon: 1e-7 },
    formula: "−{rate}·g / √(v + ε)",
  },
  Adam: { rule: Adam, rate: 0.001, settings: FIRST, formula: "−{rate}·m / (√v + ε)" },
  AdamW: {
    rule: Adam,
    rate: 0.001,
    settings: { ...FIRST, weight_decay: 0.004 },
    formula: "−{rate}·weight_decay·w − {rate}·m / (√v + ε)",
  },
};

// Makes one step of all numbers of a weight; `slots` are arrays as long as it is.
export function apply(name, w, g, slots, given, t) {
  const { rule, settings } = OPTIMIZERS[name];
  const c = { ...settings, ...given };
  const s = {};
  for (let i = 0; i < w.length; i++) {
    for (const slot of rule.slots) s[slot] = slots[slot][i];
    if (c.weight_decay) w[i] -= w[i] * f32(c.weight_decay * c.rate);
    w[i] += rule.update(f32(g[i]), s, c, t);
    for (const slot of rule.slots) slots[slot][i] = s[slot];
  }
}

// The lines of one weight's step, [name, formula, value]: the last one is the weight afterwards.
export function explainStep(name, { w, g, slots, given, t }) {
  const { rule, settings } = OPTIMIZERS[name];
  const c = { ...settings, ...given };
  const lines = rule.lines(g, slots, c, t);
  const decay = c.weight_decay ? -w * c.weight_decay * c.rate : 0;
  if (decay) {
    const formula = rated(`−{rate}·weight_decay·w, w = ${short(w)}`);
    lines.unshift([words("learn.decay"), formula, decay]);
  }
  const update = lines.at(-1)[2];
  return [...lines, ["w", `${short(w)} + ${words("learn.update")}`, w + decay + update]];
}
