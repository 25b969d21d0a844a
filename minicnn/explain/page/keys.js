// @ts-check
// Keys, and other events of the window: a new colour scheme, a new size, printing.
import { screen_ } from "page/draw.js";
import { isPresenting, listenForScreen, present } from "page/presenting.js";
import { help } from "page/screen.js";
import { chosenAt, looked } from "page/state.js";

export function listen(app) {
  document.addEventListener("keydown", (event) => onKey(app, event));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => app.render());
  let resized;
  addEventListener("resize", () => {
    clearTimeout(resized);
    resized = setTimeout(() => app.render(), 120);
  });
  listenForPrinting(app);
  listenForScreen(app);
}

function onKey(app, event) {
  const { root, state } = app;
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) {
    return;
  }
  const typing = ["INPUT", "SELECT"].includes(event.target.tagName);
  const pressing = ["BUTTON", "SUMMARY"].includes(event.target.tagName);
  if (event.key === "Escape" && state.view !== "overview") return app.overview();
  if (typing) return;
  const inLayer = state.view === "layer";
  const keys = {
    f: () => app.setMode("forward"),
    b: () => app.setMode("backward"),
    p: () => app.showPhoto((app.net.shown + 1) % app.net.photos.length),
    v: () => present(app, !isPresenting()),
    "?": () => help(app),
    l: () => app.openLearning(),
    ...(state.view === "learn" ? learnKeys(app, pressing) : {}),
    ...(inLayer ? layerKeys(app) : {}),
    ...(inLayer && !pressing
      ? {
          " ": () => app.play(!state.playing),
          Enter: () => root.querySelector('[data-focus="out"], .unit.chosen')?.focus(),
        }
      : {}),
  };
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (!keys[key]) return;
  event.preventDefault();
  keys[key]();
}

function learnKeys({ course }, pressing) {
  return {
    ".": () => course.take(),
    ",": () => course.back(),
    ...(pressing ? {} : { " ": () => course.play(!course.playing) }),
  };
}

function layerKeys(app) {
  const { net, state } = app;
  const channels = looked(net, state)?.shape.at(-1) ?? 1;
  const now = chosenAt(state)?.at(-1) ?? 0;
  return {
    ".": () => app.move(1),
    ",": () => app.move(-1),
    "[": () => app.chooseMap((now - 1 + channels) % channels),
    "]": () => app.chooseMap((now + 1) % channels),
  };
}

// For printing, the page is redrawn as on a desktop with light colours, and restored afterwards.
function listenForPrinting(app) {
  const { dataset } = document.documentElement;
  let chosen;
  addEventListener("beforeprint", () => {
    app.stop();
    chosen = dataset.theme;
    dataset.theme = "light";
    screen_.printing = true;
    app.render();
  });
  addEventListener("afterprint", () => {
    screen_.printing = false;
    if (chosen) dataset.theme = chosen;
    else delete dataset.theme;
    app.render();
  });
}
