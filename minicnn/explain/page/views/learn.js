// @ts-check
// The view in which the network learns: controls, curves, the layer's kernels and maps, and why one
// weight moved. Only the parts are redrawn after each step, so that open lists and fields stay.
import { h, percent } from "page/draw.js";
import { OPTIMIZERS } from "page/learn/optimizers.js";
import { curves } from "page/views/learn_curves.js";
import { icon } from "page/views/filmstrip.js";
import { layerNow, layerPicker } from "page/views/learn_layer.js";
import { weightMoved, weightPickers } from "page/views/learn_weight.js";
import { optionsOf } from "page/views/whatif.js";

const PARTS = { curves, layer: layerNow, weight: weightMoved };

export function learnView(app) {
  const { course } = app;
  const part = (name, title, head) =>
    h(
      `section.learn-${name}`,
      { "aria-label": title },
      h("header.learn-head", {}, h("h2", {}, title), head),
      h("div.learn-part", { "data-part": name }, PARTS[name](app)),
    );
  return h(
    "section.learn",
    { "aria-label": "Learn" },
    controls(app),
    h("p.reason.learn-error", { hidden: !course.error }, course.error),
    h(
      "div.learn-columns",
      {},
      part("curves", "How wrong it is", null),
      part("layer", "What the layer sees", [layerPicker(app), insideButton(app)]),
      part("weight", "Why one weight moved", weightPickers(app)),
    ),
  );
}

const insideButton = (app) =>
  h(
    "button.quiet",
    {
      "data-focus": "learn-inside",
      title: "The whole network with the weights of this step: every number, as a what-if",
      onclick: () => app.lookInside(),
    },
    "Look inside",
  );

// Redraws what a step changes.
export function renderParts(app) {
  const { course, root } = app;
  for (const element of root.querySelectorAll("[data-part]")) {
    element.replaceChildren(...[PARTS[element.dataset.part](app)].flat(3).filter(Boolean));
  }
  const error = root.querySelector(".learn-error");
  error.hidden = !course.error;
  error.textContent = course.error;
  root.querySelector("[data-focus=learn-step]").max = course.steps;
  root.querySelector("[data-focus=learn-step]").value = course.step;
  root.querySelector(".learn-count").textContent = countText(course);
  for (const [focus, off] of Object.entries(offOf(course))) {
    root.querySelector(`[data-focus=${focus}]`).disabled = off;
  }
  root.querySelector("[data-focus=learn-play]").replaceChildren(...playText(course));
}

const countText = ({ step, steps }) => (steps > step ? `step ${step} of ${steps}` : `step ${step}`);
const playText = ({ playing }) =>
  playing ? [icon("pause"), h("span", {}, "Pause")] : [icon("play"), h("span", {}, "Play")];
const offOf = ({ step }) => ({ "learn-begin": step === 0, "learn-back": step === 0 });

// What a screen reader is told after a step.
export function stepSaid(course) {
  const last = course.report?.history[course.step - 1];
  if (!last) return "Step 0: no step yet";
  return `Step ${course.step}: loss ${last.loss.toFixed(3)}, accuracy ${percent(last.accuracy)}`;
}

const labelled = (text, element) => h("label", {}, `${text} `, element);

function chooser(app, key, label, values, chosen) {
  const onchange = (e) => app.learn({ [key]: e.target.value });
  return labelled(
    label,
    h(
      "select",
      { value: chosen, "data-focus": `learn-${key}`, "aria-label": label, onchange },
      optionsOf(values, chosen),
    ),
  );
}

function numberField(key, label, value, attributes, apply) {
  const onchange = (e) => {
    const number = Number(e.target.value);
    const { min, max = Infinity } = attributes;
    if (e.target.value !== "" && number >= min && number <= max) apply(number);
    else e.target.value = value;
  };
  return labelled(
    label,
    h("input", {
      type: "number",
      step: "any",
      value,
      "data-focus": `learn-${key}`,
      "aria-label": label,
      ...attributes,
      onchange,
    }),
  );
}

const STARTS = { model: "this model’s weights", new: "new weights" };

function starts(app) {
  const { course } = app;
  const why = course.obstacleToNew;
  const { from, seed } = course.choice;
  const onchange = (e) => app.learn({ from: e.target.value });
  return [
    labelled(
      "from",
      h(
        "select",
        { value: from, "data-focus": "learn-from", "aria-label": "Start from", onchange },
        Object.entries(STARTS).map(([value, text]) =>
          h(
            "option",
            {
              value,
              selected: value === from ? true : null,
              disabled: value === "new" && why ? true : null,
              title: (value === "new" && why) || null,
            },
            text,
          ),
        ),
      ),
    ),
    from === "new"
      ? numberField("seed", "seed", seed, { min: 0, max: 2 ** 32 - 1, step: 1 }, (v) =>
          app.learn({ seed: Math.round(v) }),
        )
      : null,
  ];
}

function controls(app) {
  const { course } = app;
  const { optimizer, rate, batch } = course.choice;
  const off = offOf(course);
  const button = (key, text, label, onclick, look = "") =>
    h(
      `button${look}`,
      { "data-focus": key, "aria-label": label, title: label, disabled: off[key], onclick },
      text,
    );
  const sizes = [1, 2, 4, 8, 16, 32].filter((n) => n <= course.facts.y.length);
  return h(
    "div.learn-controls",
    { role: "group", "aria-label": "Training" },
    starts(app),
    chooser(app, "optimizer", "optimizer", Object.keys(OPTIMIZERS), optimizer),
    numberField("rate", "learning rate", rate, { min: 0, max: 1000 }, (v) =>
      app.learn({ rate: v }),
    ),
    labelled(
      "batch",
      h(
        "select",
        {
          value: batch,
          "data-focus": "learn-batch",
          "aria-label": "Photos of a batch",
          onchange: (e) => app.learn({ batch: Number(e.target.value) }),
        },
        optionsOf(sizes, batch),
      ),
    ),
    h("span.grow"),
    button("learn-begin", icon("first"), "Back to the start", () => course.go(0)),
    button("learn-back", icon("prev"), "One step back", () => course.go(course.step - 1)),
    h(
      "button.primary",
      { "data-focus": "learn-take", onclick: () => course.take() },
      "Take a step",
    ),
    h(
      "button",
      { "data-focus": "learn-play", onclick: () => course.play(!course.playing) },
      playText(course),
    ),
    h("input", {
      type: "range",
      min: 0,
      max: course.steps,
      step: 1,
      value: course.step,
      "data-focus": "learn-step",
      "aria-label": "Step",
      oninput: (e) => course.go(Number(e.target.value)),
    }),
    h("span.learn-count", {}, countText(course)),
  );
}
