// @ts-check
// The maps of a layer in a row, and the buttons that slide the window.
import { h, mapPicture, zeroMaps } from "page/draw.js";
import { lazyPicture, mapName, shortMapName } from "page/views/pictures.js";
import { scaleChooser, scaleFor } from "page/views/scale.js";
import { indexInput } from "page/views/whatif.js";
import { words } from "page/words.js";

export function filmstrip(app) {
  const { net, state } = app;
  const back = state.mode === "backward";
  const id = state.node;
  const about = back ? (net.nodes[id].inputs[state.which] ?? 0) : id;
  const a = back ? net.dy(about) : net.y(id);
  if (!a || a.shape.length !== 3) return null;
  const chosen = back ? state.inAt?.[2] : state.at[2];
  const kept = back ? null : Object.values(net.nodes[id].params).find((p) => p.kept)?.kept;
  const film = h(
    "div.film",
    {
      role: "listbox",
      "aria-label": back
        ? words("film.gradients", { name: net.nodes[id].name })
        : words("film.maps", { name: net.nodes[id].name }),
      tabindex: 0,
      "data-focus": "film",
      "data-scroll": "film",
      "aria-activedescendant": `film-${chosen}`,
      onkeydown: (event) => {
        const by = { ArrowRight: 1, ArrowLeft: -1, Home: -1e9, End: 1e9 }[event.key];
        if (by) {
          event.preventDefault();
          app.chooseMap(Math.max(0, Math.min(a.shape[2] - 1, chosen + by)));
        }
      },
    },
    Array.from({ length: a.shape[2] }, (_, k) => frame(app, about, a, k, chosen, kept)),
  );
  return h("div.film-row", {}, a.shape[2] > 12 ? jump(app, chosen, a.shape[2]) : null, film);
}

// A field for the number of a map to go to.
const jump = (app, chosen, n) =>
  h(
    "label.jump",
    {},
    words("film.map"),
    indexInput(chosen, n, words("film.go"), "jump", (k) => app.chooseMap(k)),
    h("small", {}, words("film.of", { n })),
  );

function frame(app, id, a, k, chosen, kept) {
  const zero = zeroMaps(a)[k];
  const gone = kept && !kept.includes(k);
  const classes = [k === chosen && ".chosen", gone && ".dim", zero && ".zero"];
  const lost = gone ? words("film.kernel_left_out") : "";
  const name = `${mapName(app.net, id, k)}${zero ? words("card.and_zeros") : ""}${lost}`;
  return h(
    `span.frame${classes.filter(Boolean).join("")}`,
    {
      role: "option",
      id: `film-${k}`,
      "aria-selected": String(k === chosen),
      "aria-label": name,
      title: name,
      onclick: () => app.chooseMap(k),
    },
    lazyPicture(() => mapPicture(a, k, scaleFor(a, k))),
    h("small", {}, shortMapName(app.net, id, k)),
  );
}

const ICONS = {
  first: "M2 2h2v10H2z M13 2v10L5 7z",
  prev: "M10 2v10L2 7z M11 2h2v10h-2z",
  next: "M4 2v10l8-5z M1 2h2v10H1z",
  play: "M3 1.5v11l9-5.5z",
  pause: "M3 2h3v10H3z M8 2h3v10H8z",
};

export const icon = (name) =>
  h(
    "svg.icon",
    { viewBox: "0 0 14 14", width: 13, height: 13, "aria-hidden": "true" },
    h("path", { d: ICONS[name] }),
  );

export function transport(app, tab) {
  if (tab !== "number") return null;
  const { state } = app;
  const button = (key, label, text, onclick) =>
    h(
      "button",
      { "aria-label": label, title: label, "data-focus": key, onclick },
      icon(key === "play" && state.playing ? "pause" : key),
      text,
    );
  return h(
    "div.transport",
    { role: "group", "aria-label": words("film.slide") },
    scaleChooser(app),
    button("first", words("film.first"), "", () => app.move("first")),
    button("prev", words("film.back"), "", () => app.move(-1)),
    button(
      "play",
      state.playing ? words("pause") : words("play"),
      state.playing ? words("pause") : words("play"),
      () => app.play(!state.playing),
    ),
    button("next", words("film.forward"), "", () => app.move(1)),
    h(
      "label.speed",
      {},
      words("film.speed_is"),
      h("input", {
        type: "range",
        min: 1,
        max: 6,
        step: 1,
        value: state.speed,
        "data-focus": "speed",
        "aria-label": words("film.speed"),
        oninput: (e) => {
          state.speed = Number(e.target.value);
        },
      }),
    ),
  );
}
