// @ts-check
// A tour of the page in six steps.
import { h } from "page/draw.js";
import { forgetHint } from "page/hints.js";
import { words } from "page/words.js";

const open = (app, id, tab) => {
  app.state.tab = tab;
  app.openLayer(id);
};

// A layer whose numbers are sums of windows, or else any.
const example = (net) =>
  (net.nodes.find((n) => /^(Conv|Depthwise|Separable)/.test(n.type)) ?? net.nodes[1]).id;

const forward = (app) => (app.state.mode === "forward" ? null : app.setMode("forward"));

// `at`: what a step is about. `go` shows it; `off` says why a page cannot, or "".
const STEPS = [
  {
    at: ".scroller",
    name: "photo",
    go(app) {
      app.overview();
      const network = app.root.querySelector(".scroller");
      if (network) network.scrollLeft = 0;
    },
  },
  {
    at: ".outcome",
    name: "answer",
    go: (app) => app.overview(),
  },
  {
    at: ".film, .side",
    name: "layer",
    go: (app) => open(app, example(app.net), "number"),
  },
  {
    at: ".arithmetic",
    name: "sum",
    go: (app) => open(app, example(app.net), "number"),
  },
  {
    at: ".arithmetic",
    name: "whatif",
    off: (net) => net.obstacle(example(net)),
    go: (app) => open(app, example(app.net), "whatif"),
  },
  {
    at: "[data-focus=mode-backward]",
    name: "backward",
    off: (net) => net.noBackward,
    go: async (app) => {
      open(app, example(app.net), "number");
      await app.setMode("backward");
    },
  },
];

export async function tour(app) {
  forgetHint("tour");
  const steps = STEPS.filter(({ off }) => !off?.(app.net));
  await show(app, steps, 0);
}

async function show(app, steps, k) {
  close();
  await forward(app);
  await steps[k].go(app);
  const { name, at } = steps[k];
  const title = words(`tour.${name}.title`);
  const step = (by, text, kind) =>
    h(`button.${kind}`, { type: "button", onclick: () => show(app, steps, k + by) }, text);
  const end = () => {
    close();
    point(app, null);
    /** @type {HTMLElement | null} */
    const control = app.root.querySelector('[data-focus="help"]');
    control?.focus();
  };
  const panel = h(
    "div.tour",
    { role: "dialog", "aria-label": words("tour.step", { k: k + 1, n: steps.length, title }) },
    h("h2", {}, title, " ", h("small", {}, words("tour.count", { k: k + 1, n: steps.length }))),
    h("p", {}, words(`tour.${name}.text`)),
    h(
      "div.tour-buttons",
      {},
      h(
        "button.quiet",
        { type: "button", onclick: end },
        k < steps.length - 1 ? words("tour.skip") : words("close"),
      ),
      k ? step(-1, words("tour.back"), "quiet") : null,
      k < steps.length - 1 ? step(1, words("tour.next"), "primary") : null,
    ),
  );
  panel.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    end();
  });
  document.body.append(panel);
  point(app, at);
  /** @type {HTMLElement} */
  const last = panel.querySelector("button:last-child");
  last.focus();
}

const close = () => document.querySelector(".tour")?.remove();

function point(app, selector) {
  for (const element of app.root.querySelectorAll(".pointed")) element.classList.remove("pointed");
  if (selector) app.root.querySelector(selector)?.classList.add("pointed");
}
