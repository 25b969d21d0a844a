// @ts-check
// How the page draws an explanation: one function for each form.
import { curve, numberGrid, sumLine, termTable } from "page/cells.js";
import { exact, fmt, h, screen_ } from "page/draw.js";
import { placeIn } from "page/views/pictures.js";
import { placeText } from "page/views/spots.js";
import {
  biasOf,
  closing,
  featureName,
  softmaxSteps,
  tapRow,
  verdictOf,
  windowSum,
} from "page/views/sums.js";
import { words } from "page/words.js";

// What the two factors of a window's sum are called.
const PATCH = { a: "word.patch", b: "word.kernel" };
const STAMPS = { a: "word.pixels", b: "word.kernel" };
const SENT_BACK = { a: "word.dz", b: "word.kernel" };

const FORMS = {
  window: (app, e, channel) =>
    windowSum(app, e, channel, e.back ? SENT_BACK : e.stamped ? STAMPS : PATCH),
  separable: separableSum,
  terms: termsSum,
  pool: poolSum,
  global: globalSum,
  steps: stepsOf,
  curve: curveOf,
  softmax: (app, e) => [
    h("h3", {}, words("form.softmax")),
    softmaxSteps(app.net, e),
    verdictOf(app, e),
  ],
  copy: copyOf,
};

// The middle of the bench: the sum behind a number.
export function arithmetic(app, e, channel) {
  const draw = FORMS[e.form];
  if (!draw) return h("p.void", {}, words("form.none"));
  return draw(app, e, channel);
}

function separableSum(app, e, channel) {
  const group = e.groups.find((g) => g.channel === channel) ?? e.groups[0];
  return [
    h("h3", {}, words("form.separable")),
    h("div.taps", {}, tapRow(app, group, { a: "word.patch", b: "word.depthwise" }, e)),
    termTable(e.terms, {
      what: words("form.mixture"),
      heads: ["h", words("word.pointwise")],
      limit: 7,
      name: (t) => words("word.map_k", { k: t.channel }),
      onpick: (t) => app.set({ inChannel: t.channel }),
    }),
    e.softmax ? softmaxSteps(app.net, e) : closing(e),
    verdictOf(app, e),
  ];
}

function termsTitle(e) {
  if (e.title) return e.title;
  if (e.back) return words("form.units_back");
  return words("form.inputs", { n: e.terms.length });
}

function termName(app, e, t) {
  if (e.pooled) return `${t.label}: ${t.note}`;
  return e.back ? app.net.unitName(e.node.id, t.index) : featureName(app, e, t);
}

function termsSum(app, e) {
  const { net } = app;
  const scores = !e.softmax && !e.back && net.kind === "logits" && e.node.id === net.output;
  return [
    h("h3", {}, termsTitle(e)),
    termTable(e.terms, {
      what: "",
      heads: e.back
        ? [words("word.gradient"), e.pooled ? words("word.share") : words("word.weight")]
        : [words("word.input"), words("word.weight")],
      limit: e.softmax && screen_.height < 860 ? 6 : 10,
      name: (t) => termName(app, e, t),
      onpick: e.back ? null : (t) => app.set({ term: t.index }),
    }),
    e.softmax ? null : closing(e),
    scores
      ? h(
          "details.then",
          { open: screen_.height > 860 ? true : null },
          h("summary", {}, words("form.then_softmax")),
          softmaxSteps(net, { ...e, scores: Array.from(net.y(e.node.id).data) }),
        )
      : null,
    e.softmax
      ? [
          sumLine([
            ["Σ", words("word.products"), e.total],
            ...biasOf(e),
            ["=", words("word.score"), e.z, true],
          ]),
          softmaxSteps(net, e),
        ]
      : null,
    verdictOf(app, e),
  ];
}

const meanOrMax = (e) =>
  e.mean
    ? sumLine([
        ["Σ", words("word.sum"), e.sum],
        ["÷", words("word.pixels"), e.count],
        ["=", "", e.value, true],
      ])
    : sumLine([["max", "", e.value, true]]);

function poolSum(app, e) {
  const [kh, kw] = e.grid ?? e.w.kernel;
  const limit = Math.max(1e-12, ...e.taps.map((t) => Math.abs(t.input)));
  const unpadded = e.count < e.taps.length ? words("form.unpadded") : "";
  const cell = (i, j) => {
    const t = e.taps[i * kw + j];
    const mark = t.won ? "won" : t.tied ? "tied" : "";
    return { value: t.input, padded: t.padded, text: e.mean ? "" : "−∞", mark };
  };
  const ties = words("form.ties", { n: e.ties + 1 });
  return [
    h("h3", {}, e.mean ? words("form.mean", { n: e.count, unpadded }) : words("form.maximum")),
    h(
      "div.taps",
      {},
      h("div.tap-row", {}, numberGrid(kh, kw, cell, limit, { label: words("form.window") })),
    ),
    e.ties ? h("p.note", {}, ties) : null,
    meanOrMax(e),
    verdictOf(app, e),
  ];
}

function globalSum(app, e) {
  const share = (t) => ({
    label: `(${t.row}, ${t.col})`,
    input: t.input,
    weight: 1 / e.count,
    product: t.input / e.count,
  });
  const ties = e.ties ? words("form.ties_global", { n: e.ties }) : "";
  return [
    h("h3", {}, e.mean ? words("form.mean_of_all", { n: e.count }) : words("form.largest")),
    e.mean
      ? termTable(e.taps.map(share), {
          what: words("word.pixel"),
          heads: [words("word.value"), words("word.share")],
          limit: 6,
        })
      : h("p.note", {}, words("form.winner", { row: e.winner.row, column: e.winner.col, ties })),
    meanOrMax(e),
    verdictOf(app, e),
  ];
}

function stepsOf(app, e) {
  const line = ([name, says, v], n) =>
    h(
      "li",
      {},
      h("b.step-name", {}, name),
      h("span", {}, says),
      h("b", { class: n === e.lines.length - 1 ? "strong" : "", title: exact(v) }, fmt(v)),
    );
  return [
    h("h3", {}, words("form.steps")),
    h("ol.steps", {}, e.lines.map(line)),
    verdictOf(app, e),
  ];
}

function curveOf(app, e) {
  return [
    h("h3", {}, `y = ${e.text}`),
    curve(e.f.y, e.input, e.text, e.f.corners),
    sumLine([
      ["", "x", e.input],
      ["→", "y", e.value, true],
    ]),
    verdictOf(app, e),
  ];
}

function copyOf(app, e) {
  const { net } = app;
  const line = (f) =>
    h(
      "li",
      {},
      f.back ? words("form.gradient_at") : `${net.nodes[e.node.inputs[f.input]].name}: `,
      f.back ? placeText(f.at) : placeIn(net, e.node.inputs[f.input], f.at),
      h("b", { title: exact(f.value) }, fmt(f.value)),
    );
  return [
    h("h3", {}, e.sum ? e.title : e.from.length ? words("form.passed_on") : words("form.padding")),
    h("p.note", {}, e.text),
    h("ul.copies", {}, e.from.map(line)),
    sumLine([["=", "", e.value ?? e.total, true]]),
    verdictOf(app, e),
  ];
}
