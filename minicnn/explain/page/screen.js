// @ts-check
// The page as a whole: its head, the view, the notes below, and the help.
import { openDialog } from "page/dialogs.js";
import { count, h, theme } from "page/draw.js";
import { saveDialog } from "page/paper/save.js";
import { photoStrip } from "page/photos/strip.js";
import { isBackward } from "page/state.js";
import { isPresenting, present } from "page/presenting.js";
import { tour } from "page/tour.js";
import { bench } from "page/views/bench.js";
import { comparison } from "page/views/compare.js";
import { heatView } from "page/views/heat.js";
import { layerView } from "page/views/layer.js";
import { learnView, renderParts } from "page/views/learn.js";
import { overview } from "page/views/overview.js";
import { chosenLanguage, languages, nameOfLanguage, words } from "page/words.js";

function keepingFocus(root, draw) {
  const key = /** @type {HTMLElement | null} */ (document.activeElement)?.dataset?.focus;
  /** @type {(selector: string) => NodeListOf<HTMLElement>} */
  const elements = (selector) => root.querySelectorAll(selector);
  const scroll = {};
  for (const element of elements("[data-scroll]")) {
    scroll[element.dataset.scroll] = element.scrollLeft;
  }
  draw();
  for (const element of elements("[data-scroll]")) {
    const left = scroll[element.dataset.scroll];
    if (left) element.scrollLeft = left; // to set 0, too, would lay out the page once more
  }
  bringIntoSight(root.querySelector(".film"), ".chosen");
  bringIntoSight(root.querySelector(".photo-row"), '[aria-pressed="true"]');
  if (key) {
    root.querySelector(`[data-focus="${CSS.escape(key)}"]`)?.focus({ preventScroll: true });
  }
}

// Scrolls a row to the chosen one of what is in it.
function bringIntoSight(row, what) {
  const chosen = row?.querySelector(what);
  if (!chosen) return;
  const { offsetLeft: left } = chosen;
  if (left < row.scrollLeft || left > row.scrollLeft + row.clientWidth - 60) {
    row.scrollLeft = left - row.clientWidth / 2;
  }
}

const VIEWS = {
  overview,
  layer: layerView,
  compare: comparison,
  heat: heatView,
  learn: learnView,
};

export function render(app) {
  const { root, state } = app;
  keepingFocus(root, () =>
    root.replaceChildren(
      ...header(app),
      h("main", { id: "main" }, VIEWS[state.view](app)),
      footer(app.net),
    ),
  );
}

// Draws only the bench: nothing else changes while the window slides.
export function renderBench(app) {
  const place_ = document.getElementById("bench");
  if (!place_) return render(app);
  keepingFocus(app.root, () => place_.replaceChildren(...[bench(app, currentTab(app))].flat()));
}

// Draws only what a step of training changes.
export function renderLearning(app) {
  if (app.state.view !== "learn") return;
  keepingFocus(app.root, () => renderParts(app));
}

const currentTab = ({ root, state }) =>
  root.querySelector('.tab[aria-selected="true"]')?.dataset.focus.slice(4) ?? state.tab;

function header(app) {
  const { net, state } = app;
  const why = net.noBackward;
  const weights = net.nodes.reduce((n, node) => n + node.count, 0);
  const macs = net.nodes.reduce((n, node) => n + node.macs, 0);
  return [
    h(
      "header.top",
      {},
      photoStrip(app),
      h(
        "div.title",
        {},
        h("h1", { title: net.title }, net.title),
        h(
          "p",
          {},

          words("top.facts", {
            layers: net.nodes.length - 1,
            weights: count(weights),
            macs: count(macs),
          }),
        ),
      ),
      modes(app),
      net.changed
        ? h(
            "button.badge",
            {
              onclick: () => app.resetChanges(),
              "data-focus": "badge",
              title: words("top.reset"),
            },
            net.checkpoint === null
              ? words("top.whatif")
              : words("top.checkpoint", { name: net.checkpoints[net.checkpoint].name }),
          )
        : null,
      state.busy ? h("span.busy", {}, state.busy) : null,
      tools(app),
    ),
    state.notice ? h("p.reason.under-top.notice", { role: "alert" }, state.notice) : null,
    why && !isBackward(state) ? h("p.reason.under-top", {}, words("no_backward", { why })) : null,
  ].filter(Boolean);
}

// What is on every view: the colours, saving, the help, another language.
function tools(app) {
  return h(
    "div.tools",
    {},
    h(
      "button.quiet",
      {
        "data-focus": "theme",
        "aria-label": words(theme() === "dark" ? "top.to_light" : "top.to_dark"),
        onclick: () => {
          document.documentElement.dataset.theme = theme() === "dark" ? "light" : "dark";
          render(app);
        },
      },
      h("span", { "aria-hidden": "true" }, theme() === "dark" ? "☀" : "☾"),
      h("span.word", {}, words(theme() === "dark" ? "top.light" : "top.dark")),
    ),
    h(
      "button.quiet",
      {
        "data-focus": "present",
        "aria-label": isPresenting() ? words("top.present_end") : words("top.present"),
        "aria-pressed": String(isPresenting()),
        title: words("top.present_title"),
        onclick: () => present(app, !isPresenting()),
      },
      h(
        "svg.icon",
        { viewBox: "0 0 14 14", width: 14, height: 14, "aria-hidden": "true" },
        h("path", { d: "M1 1h4v2H3v2H1z M9 1h4v4h-2V3H9z M1 9h2v2h2v2H1z M11 9h2v4H9v-2h2z" }),
      ),
    ),
    h(
      "button.quiet",
      {
        "data-focus": "save",
        "aria-label": words("save.title"),
        title: words("top.save_title"),
        onclick: () => saveDialog(app),
      },
      h("span", { "aria-hidden": "true" }, "⤓"),
      h("span.word", {}, words("top.save")),
    ),
    h(
      "button.quiet",
      { "data-focus": "help", "aria-label": words("top.help_label"), onclick: () => help(app) },
      "?",
      h("span.word", {}, words("top.help")),
    ),
    languages()
      .filter((name) => name !== chosenLanguage())
      .map((name) => languageButton(app, name)),
  );
}

const languageButton = (app, name) =>
  h(
    "button.quiet",
    {
      lang: name,
      "aria-label": `${name.toUpperCase()}: ${nameOfLanguage(name)}`,
      title: nameOfLanguage(name),
      "data-focus": "language",
      onclick: () => app.speak(name),
    },
    name.toUpperCase(),
  );

// Forward, backward, and learning, if the page has photos for it.
function modes(app) {
  const { net, state } = app;
  const off = (name) => (name === "backward" && !isBackward(state) ? net.noBackward : "");
  const mode = (name, text) =>
    h(
      "button",
      {
        "aria-pressed": String(state.view !== "learn" && state.mode === name),
        "data-focus": `mode-${name}`,
        disabled: Boolean(off(name)),
        title: off(name) || null,
        onclick: () => app.setMode(name),
      },
      text,
    );
  return h(
    "div.switch",
    { role: "group", "aria-label": words("top.direction") },
    mode("forward", words("top.forward")),
    mode("backward", words("top.backward")),
    net.learning ? learnButton(app) : null,
  );
}

function learnButton(app) {
  const why = app.net.obstacleToLearning;
  return h(
    "button",
    {
      "aria-pressed": String(app.state.view === "learn"),
      "data-focus": "mode-learn",
      disabled: Boolean(why),
      title: why || null,
      onclick: () => app.openLearning(),
    },
    words("learn.title"),
  );
}

function footer(net) {
  return h(
    "footer.notes",
    {},
    net.notes.map((note) => h("p", {}, note)),
  );
}

// What each key does is in the table of words.
const KEYS = [
  ...["tab", "enter", "esc", "arrows", "space", "cells", "maps", "modes"],
  ...["learn", "photo", "present", "help"],
];

export function help(app) {
  const { net } = app;
  const dialog = h(
    "dialog.help",
    { "aria-label": words("top.help_title") },
    h("h2", {}, words("help.keys")),
    h(
      "dl",
      {},
      KEYS.map((name) => [
        h("dt", {}, h("kbd", {}, words(`help.${name}.key`))),
        h("dd", {}, words(`help.${name}.does`)),
      ]),
    ),
    h("h2", {}, words("help.see")),
    h(
      "p",
      {},

      words("help.text"),
    ),
    net.notes.length
      ? [h("h2", {}, words("help.left_out")), net.notes.map((note) => h("p", {}, note))]
      : null,
    h(
      "form",
      { method: "dialog" },
      h("button.quiet", { onclick: () => tour(app) }, words("tour.take")),
      h("button.primary", {}, words("close")),
    ),
  );
  openDialog(app, dialog, "help");
}
