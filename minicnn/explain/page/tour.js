// @ts-check
// A tour of the page in six steps.
import { h } from "page/draw.js";
import { forgetHint } from "page/hints.js";

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
    title: "From the photo to the answer",
    text:
      "The photo goes in on the left. Each column is a layer, and each small image one of its " +
      "maps: orange where its numbers are above zero, blue where they are below.",
    go: (app) => app.overview(),
  },
  {
    at: ".outcome",
    title: "The answer",
    text: "What the network gives in the end: for photos of clothes, say, how likely each kind is.",
    go: (app) => app.overview(),
  },
  {
    at: ".film, .side",
    title: "One layer",
    text:
      "A layer opens with all of its maps. Choose one, and then a cell of it on the right, with " +
      "the mouse or the arrow keys.",
    go: (app) => open(app, example(app.net), "number"),
  },
  {
    at: ".arithmetic",
    title: "One number is a sum",
    text:
      "This is where the chosen number comes from: numbers of the input times weights, added " +
      "up. The last line says what minicnn computed. Play slides the window over all cells.",
    go: (app) => open(app, example(app.net), "number"),
  },
  {
    at: ".arithmetic",
    title: "What if …",
    text:
      "Here you change weights and pixels, and the page computes the whole network again: what " +
      "becomes of the answer?",
    off: (net) => net.obstacle(example(net)),
    go: (app) => open(app, example(app.net), "whatif"),
  },
  {
    at: "[data-focus=mode-backward]",
    title: "Backward",
    text:
      "Backward shows gradients: how the loss changes with each number of each layer, down to " +
      "the pixels. The network learns from those of its weights. ? opens the help.",
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
  const { title, text, at } = steps[k];
  const step = (by, words, kind) =>
    h(`button.${kind}`, { type: "button", onclick: () => show(app, steps, k + by) }, words);
  const end = () => {
    close();
    point(app, null);
    /** @type {HTMLElement | null} */
    const control = app.root.querySelector('[data-focus="help"]');
    control?.focus();
  };
  const panel = h(
    "div.tour",
    { role: "dialog", "aria-label": `Tour, step ${k + 1} of ${steps.length}: ${title}` },
    h("h2", {}, title, " ", h("small", {}, `${k + 1} of ${steps.length}`)),
    h("p", {}, text),
    h(
      "div.tour-buttons",
      {},
      h("button.quiet", { type: "button", onclick: end }, k < steps.length - 1 ? "Skip" : "Close"),
      k ? step(-1, "Back", "quiet") : null,
      k < steps.length - 1 ? step(1, "Next", "primary") : null,
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
