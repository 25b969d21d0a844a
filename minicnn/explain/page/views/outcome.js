// @ts-check
// The result: the classes, or the number that backward starts from.
import { sumLine } from "page/cells.js";
import { h, percent, shapeText } from "page/draw.js";
import { size, unravel } from "page/engine/arrays.js";
import { heatObstacle, openHeat } from "page/views/heat.js";
import { words } from "page/words.js";

// `given`: the probabilities; if null, those for the photo shown, beside those before a change.
export function classBars(net, limit = 10, compact = false, given = null) {
  const p = given ?? net.probabilities();
  const changed = !given && net.alternatives.has(net.output);
  const old = changed ? net.probabilities(net.original(net.output)) : null;
  if (!p) {
    return h(
      "p.note",
      {},
      net.kind || !net.y(net.output)
        ? words("outcome.no_classes", { why: net.reason(net.output) })
        : words("outcome.no_scores", {
            shape: shapeText(net.shape(net.output)),
            n: size(net.shape(net.output)),
          }),
    );
  }
  let order = [...p.keys()];
  if (order.length > limit) order = order.sort((a, b) => p[b] - p[a]).slice(0, limit);
  const best = order.reduce((a, b) => (p[b] > p[a] ? b : a));
  return h(
    "ul",
    { class: `classes${compact ? " compact" : ""}` },
    order.map((k) =>
      h(
        "li",
        { class: k === best ? "best" : "", "data-class": k, "data-p": p[k] },
        h("span.class-name", { title: net.className(k) }, net.className(k)),
        h(
          "span.class-bar",
          { "aria-hidden": "true" },
          h("span.class-fill", { style: { width: `${100 * p[k]}%` } }),
          old ? h("span.class-old", { style: { left: `${100 * old[k]}%` } }) : null,
        ),
        h(
          "span.class-p",
          {},
          old && Math.abs(old[k] - p[k]) > 5e-4 ? h("s", {}, percent(old[k])) : null,
          percent(p[k]),
        ),
      ),
    ),
  );
}

export function classPanel(app) {
  const { net, state } = app;
  const back = state.mode === "backward";
  return h(
    "aside.panel.outcome",
    { "aria-label": words("outcome.title") },
    h(
      "h2",
      {},
      back ? `L: ${net.goal}` : net.kind ? words("outcome.sees") : words("outcome.comes_out"),
    ),
    back && net.y(net.output) ? (net.kind ? lossOfClass(app) : chosenNumber(app)) : null,
    classBars(net),
    heatObstacle(net)
      ? null
      : h(
          "button.quiet.follow",
          { "data-focus": "heat", onclick: () => openHeat(app) },
          net.kind ? words("heat.why") : words("outcome.why_so"),
        ),
  );
}

function lossOfClass(app) {
  const { net } = app;
  const p = net.probabilities()[net.target];
  const pick = h(
    "select",
    {
      "aria-label": words("outcome.loss_class"),
      "data-focus": "target",
      value: net.target,
      disabled: Boolean(net.obstacleToAnother),
      onchange: (e) => app.setTarget(Number(e.target.value)),
    },
    [...net.probabilities().keys()].map((k) =>
      h("option", { value: k, selected: k === net.target ? true : null }, net.className(k)),
    ),
  );
  return [
    h("p.formula", {}, words("outcome.loss"), pick, ")"),
    sumLine([
      ["−", `log ${percent(p)}`, Math.log(p)],
      ["=", "L", net.loss(), true],
    ]),
    h("p.note", {}, words("outcome.dz")),
    net.obstacleToAnother
      ? h("p.note", {}, words("outcome.another_class", { why: net.obstacleToAnother }))
      : null,
  ];
}

// In a model without classes backward starts from one number of the output.
function chosenNumber(app) {
  const { net } = app;
  const at = unravel(net.shape(net.output), net.target);
  const value = net.loss();
  return [
    h("p.formula", {}, `L = ${net.nodes[net.output].name}[${at.join(", ")}]`),
    value === null ? null : sumLine([["=", "", value, true]]),
    h(
      "button.quiet.follow",
      {
        "data-focus": "chosen",
        onclick: () => {
          app.setMode("forward");
          app.openAt(net.output, at);
        },
      },
      net.obstacleToAnother ? words("outcome.see") : words("outcome.see_or_choose"),
    ),
    net.obstacleToAnother
      ? h("p.note", {}, words("outcome.another_number", { why: net.obstacleToAnother }))
      : null,
  ];
}
