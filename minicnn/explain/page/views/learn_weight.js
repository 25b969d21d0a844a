// @ts-check
// One weight's step: which photos pushed it which way, and what the optimizer made of that.
import { bar, columnHead, verdict } from "page/cells.js";
import { exact, fmt, h } from "page/draw.js";
import { explainStep, formulaOf } from "page/learn/optimizers.js";
import { thumbnail } from "page/views/learn_curves.js";
import { indexInput, optionsOf } from "page/views/whatif.js";
import { words } from "page/words.js";

const MOST = 8;

export function weightPickers(app) {
  const { course, net } = app;
  const { id, name, at } = course.watched;
  const { learns } = course.facts.nodes[id];
  const { shape } = net.nodes[id].params[name];
  const choose = (axis, v) => app.learnWeight({ at: at.map((old, k) => (k === axis ? v : old)) });
  return h(
    "div.pickers",
    {},
    h(
      "select",
      {
        value: name,
        "data-focus": "learn-name",
        "aria-label": words("learn.weight_name"),
        onchange: (e) => app.learnWeight({ name: e.target.value }),
      },
      optionsOf(learns, name),
    ),
    at
      ? [
          "[",
          shape.map((n, axis) =>
            indexInput(at[axis], n, words("learn.index", { axis, n }), `learn-axis-${axis}`, (v) =>
              choose(axis, v),
            ),
          ),
          "]",
        ]
      : null,
  );
}

export function weightMoved(app) {
  const { course } = app;
  const e = course.report?.explanation;
  if (!e) {
    return h("p.void", {}, words("learn.before_step"));
  }
  const lines = explainStep(e.optimizer, { ...e, g: e.gradient, t: e.step });
  const total = e.shares.reduce((sum, { share }) => sum + share, 0);
  return [
    h("p.formula", {}, `w += ${words("learn.update")},  ${formulaOf(e.optimizer)}`),
    sharesTable(app, e.shares),
    h(
      "ol.steps.learn-lines",
      {},
      line(e.penalty ? "Σ" : "g", words("learn.sum_of_shares", { n: e.shares.length }), total),
      e.penalty ? line(words("learn.penalty"), words("learn.regularizer"), e.penalty) : null,
      e.penalty ? line("g", words("learn.both"), e.gradient) : null,
      lines.map(([name, says, v], n) => line(name, says, v, n === lines.length - 1)),
    ),
    verdict(lines.at(-1)[2], e.after, { says: words("learn.step_gave"), tolerance: 1e-6 }),
  ];
}

const line = (name, says, v, strong = false) =>
  h(
    "li",
    {},
    h("b.step-name", {}, name),
    h("span", {}, says),
    h("b", { class: strong ? "strong" : "", title: exact(v) }, fmt(v)),
  );

function sharesTable(app, shares) {
  const { course, net } = app;
  const sorted = [...shares].sort((a, b) => Math.abs(b.share) - Math.abs(a.share));
  const shown = sorted.slice(0, MOST);
  const rest = sorted.slice(MOST);
  const top = Math.abs(sorted[0]?.share ?? 1);
  const pushes = (v) => (v > 0 ? words("learn.down") : v < 0 ? words("learn.up") : "–");
  const row = (picture, name, v) =>
    h(
      "tr",
      {},
      h("td.learn-mini", {}, picture),
      h("th", { scope: "row" }, name),
      h("td.strong", { title: exact(v) }, fmt(v)),
      h("td.bar-cell", {}, bar(v, top)),
      h("td", {}, pushes(v)),
    );
  const head = ["", words("learn.photo"), words("learn.share"), "", words("learn.pushes")];
  return h(
    "table.terms.learn-shares",
    {},
    h("thead", {}, h("tr", {}, head.map(columnHead))),
    h(
      "tbody",
      {},
      shown.map(({ example, share }) =>
        row(thumbnail(app, example), net.className(course.facts.y[example]), share),
      ),
      rest.length
        ? row(
            null,
            words("others", { n: rest.length }),
            rest.reduce((sum, { share }) => sum + share, 0),
          )
        : null,
    ),
  );
}
