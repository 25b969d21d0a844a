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
import { words } from "page/words.js";

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
    { "aria-label": words("learn.title") },
    controls(app),
    h("p.reason.learn-error", { hidden: !course.error }, course.error),
    h(
      "div.learn-columns",
      {},
      part("curves", words("learn.curves"), null),
      part("layer", words("learn.layer"), [layerPicker(app), insideButton(app)]),
      part("weight", words("learn.weight"), weightPickers(app)),
    ),
  );
}

const insideButton = (app) =>
  h(
    "button.quiet",
    {
      "data-focus": "learn-inside",
      title: words("learn.inside_title"),
      onclick: () => app.lookInside(),
    },
    words("learn.inside"),
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

const countText = ({ step, steps }) =>
  steps > step ? words("learn.step_of", { k: step, n: steps }) : words("learn.step", { k: step });
const playText = ({ playing }) =>
  playing
    ? [icon("pause"), h("span", {}, words("pause"))]
    : [icon("play"), h("span", {}, words("play"))];
const offOf = ({ step }) => ({ "learn-begin": step === 0, "learn-back": step === 0 });

// What a screen reader is told after a step.
export function stepSaid(course) {
  const last = course.report?.history[course.step - 1];
  if (!last) return words("learn.step_0");
  return words("learn.said", {
    k: course.step,
    loss: last.loss.toFixed(3),
    accuracy: percent(last.accuracy),
  });
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

const STARTS = ["model", "new"];

function starts(app) {
  const { course } = app;
  const why = course.obstacleToNew;
  const { from, seed } = course.choice;
  const onchange = (e) => app.learn({ from: e.target.value });
  return [
    labelled(
      words("learn.from"),
      h(
        "select",
        {
          value: from,
          "data-focus": "learn-from",
          "aria-label": words("learn.start_from"),
          onchange,
        },
        STARTS.map((value) =>
          h(
            "option",
            {
              value,
              selected: value === from ? true : null,
              disabled: value === "new" && why ? true : null,
              title: (value === "new" && why) || null,
            },
            words(`learn.from_${value}`),
          ),
        ),
      ),
    ),
    from === "new"
      ? numberField("seed", words("learn.seed"), seed, { min: 0, max: 2 ** 32 - 1, step: 1 }, (v) =>
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
    { role: "group", "aria-label": words("learn.training") },
    starts(app),
    chooser(app, "optimizer", words("learn.optimizer"), Object.keys(OPTIMIZERS), optimizer),
    numberField("rate", words("learn.rate"), rate, { min: 0, max: 1000 }, (v) =>
      app.learn({ rate: v }),
    ),
    labelled(
      words("learn.batch"),
      h(
        "select",
        {
          value: batch,
          "data-focus": "learn-batch",
          "aria-label": words("learn.batch_title"),
          onchange: (e) => app.learn({ batch: Number(e.target.value) }),
        },
        optionsOf(sizes, batch),
      ),
    ),
    h("span.grow"),
    button("learn-begin", icon("first"), words("learn.begin"), () => course.go(0)),
    button("learn-back", icon("prev"), words("learn.back"), () => course.back()),
    h(
      "button.primary",
      { "data-focus": "learn-take", onclick: () => course.take() },
      words("learn.take"),
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
      "aria-label": words("learn.step_number"),
      oninput: (e) => course.go(Number(e.target.value)),
    }),
    h("span.learn-count", {}, countText(course)),
  );
}
