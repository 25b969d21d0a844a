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
    element.scrollLeft = scroll[element.dataset.scroll] ?? 0;
  }
  const film = root.querySelector(".film");
  const chosen = film?.querySelector(".chosen");
  if (
    chosen &&
    (chosen.offsetLeft < film.scrollLeft ||
      chosen.offsetLeft > film.scrollLeft + film.clientWidth - 60)
  ) {
    film.scrollLeft = chosen.offsetLeft - film.clientWidth / 2;
  }
  if (key) {
    root.querySelector(`[data-focus="${CSS.escape(key)}"]`)?.focus({ preventScroll: true });
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
        h("h1", {}, net.title),
        h(
          "p",
          {},

          `${net.nodes.length - 1} layers · ${count(weights)} weights · ${count(macs)} ` +
            "multiply-adds",
        ),
      ),
      modes(app),
      net.changed
        ? h(
            "button.badge",
            {
              onclick: () => app.resetChanges(),
              "data-focus": "badge",
              title: "Back to the real network",
            },
            net.checkpoint === null
              ? "What-if is on · reset"
              : `${net.checkpoints[net.checkpoint].name} · back to the model`,
          )
        : null,
      state.busy ? h("span.busy", {}, state.busy) : null,
      h("span.grow"),
      tools(app),
    ),
    state.notice ? h("p.reason.under-top.notice", { role: "alert" }, state.notice) : null,
    why && !isBackward(state)
      ? h("p.reason.under-top", {}, `Backward is not available. ${why}`)
      : null,
  ].filter(Boolean);
}

// What is on every view: the colours, saving, the help.
function tools(app) {
  return h(
    "div.tools",
    {},
    h(
      "button.quiet",
      {
        "data-focus": "theme",
        "aria-label": `Switch to ${theme() === "dark" ? "light" : "dark"} colours`,
        onclick: () => {
          document.documentElement.dataset.theme = theme() === "dark" ? "light" : "dark";
          render(app);
        },
      },
      h("span", { "aria-hidden": "true" }, theme() === "dark" ? "☀" : "☾"),
      h("span.word", {}, theme() === "dark" ? " Light" : " Dark"),
    ),
    h(
      "button.quiet",
      {
        "data-focus": "present",
        "aria-label": isPresenting() ? "End the presentation" : "Present to a class",
        "aria-pressed": String(isPresenting()),
        title: "Larger, over the whole screen (V)",
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
        "aria-label": "Save this view",
        title: "Save this view as SVG or PNG, print it, or copy its link",
        onclick: () => saveDialog(app),
      },
      h("span", { "aria-hidden": "true" }, "⤓"),
      h("span.word", {}, " Save"),
    ),
    h(
      "button.quiet",
      { "data-focus": "help", "aria-label": "Keys and notes", onclick: () => help(app) },
      "?",
      h("span.word", {}, " Help"),
    ),
  );
}

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
    { role: "group", "aria-label": "Direction" },
    mode("forward", "Forward →"),
    mode("backward", "← Backward"),
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
    "Learn",
  );
}

function footer(net) {
  return h(
    "footer.notes",
    {},
    net.notes.map((note) => h("p", {}, note)),
  );
}

export function help(app) {
  const { net } = app;
  const keys = [
    ["Tab", "go to the next control"],
    ["Enter", "open the layer, the map or the cell"],
    ["Esc", "go back to the network"],
    ["← ↑ ↓ →", "choose another cell, map or unit"],
    ["Space", "play or pause"],
    [". and ,", "go one cell forward or back"],
    ["[ and ]", "go to the previous or next map or unit"],
    ["F and B", "switch to forward or backward"],
    ["L", "let the network learn: then . and , go a step on or back, Space plays"],
    ["P", "go to the next photo"],
    ["V", "present to a class: larger, over the whole screen"],
    ["?", "show this help"],
  ];
  const dialog = h(
    "dialog.help",
    { "aria-label": "Keys and notes" },
    h("h2", {}, "Keys"),
    h(
      "dl",
      {},
      keys.map(([key, does]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, does)]),
    ),
    h("h2", {}, "What you see"),
    h(
      "p",
      {},

      "This page computes its sums with 64 bits and compares them with what minicnn " +
        "computed with 32 bits: they agree except for rounding. Point at a number to see " +
        "all of its digits. Orange is above zero, blue below, and zero has the colour of " +
        "the background; a map or kernel that is zero everywhere has a dashed border. A " +
        "colour scale covers 99.8 % of the numbers, so that a few large ones do not hide " +
        "the rest; the true extremes are written below it.",
    ),
    net.notes.length
      ? [h("h2", {}, "What is left out"), net.notes.map((note) => h("p", {}, note))]
      : null,
    h(
      "form",
      { method: "dialog" },
      h("button.quiet", { onclick: () => tour(app) }, "Take the tour"),
      h("button.primary", {}, "Close"),
    ),
  );
  openDialog(app, dialog, "help");
}
