// @ts-check
// Two photos side by side: in which layers, maps and numbers they differ.
import { mapView } from "page/cells.js";
import { exact, fmt, h, legend, mapPicture, percent, topOf, vectorPicture } from "page/draw.js";
import { offsetOf } from "page/engine/arrays.js";
import { difference, distances } from "page/engine/difference.js";
import { classBars } from "page/views/outcome.js";
import { inputPicture, isPhoto, layout, lazyPicture, topFor } from "page/views/pictures.js";
import { cellMark, mapSize } from "page/views/side.js";
import { clampAt, placeText } from "page/views/spots.js";
import { optionsOf } from "page/views/whatif.js";

const FORMULA = "‖b − a‖ / (‖a‖ + ‖b‖)";

const whoseNumbers = (net) => (net.changed ? " Both are of the unchanged network." : "");

const known = new WeakMap(); // output for one photo → output for another → distances

function distancesOf(a, b) {
  if (!known.has(a)) known.set(a, new WeakMap());
  if (!known.get(a).has(b)) known.get(a).set(b, distances(a, b));
  return known.get(a).get(b);
}

// The outputs of a layer of the unchanged network, for the photo shown and for the other one.
const outputs = ({ net, state }, id) => [net.original(id), net.valueOf(state.other, id)];

// -- all layers -----------------------------------------------------------------------------------

export function comparison(app) {
  const { net } = app;
  return h(
    "section.comparison",
    { "aria-label": "Two photos, layer by layer" },
    h(
      "div.caption",
      {},
      h("button.quiet", { onclick: () => app.overview(), "data-focus": "back" }, "← Network"),
      h(
        "p",
        {},
        `How far apart the two photos are in each layer: ${FORMULA}, 0 % if all numbers are ` +
          "equal, 100 % if they are opposite or one of the two is zero. Beside it the map that " +
          `differs most.${whoseNumbers(net)}`,
      ),
      otherChooser(app),
    ),
    h(
      "div.river",
      {},
      h(
        "div.table-scroller",
        { tabindex: 0, role: "group", "aria-label": "Layers", "data-focus": "layers" },
        h(
          "table.compared",
          {},
          h("thead", {}, h("tr", {}, heads(app))),
          h(
            "tbody",
            {},
            net.nodes.map((node) => layerRow(app, node)),
          ),
        ),
      ),
      net.kind ? h("div.two-outcomes", {}, outcomes(app)) : null,
    ),
  );
}

function heads({ net, state }) {
  const names = [net.photo.name, net.photos[state.other].name];
  return ["layer", ...names.map((name, k) => `${"ab"[k]}: ${name}`), "b − a", "apart", "map"].map(
    (text) => h("th", { scope: "col" }, text),
  );
}

function layerRow(app, node) {
  const { id, name, type } = node;
  const [a, b] = outputs(app, id);
  const open = h(
    "button.pick",
    { "data-focus": `row-${id}`, onclick: () => openAtMap(app, id, most) },
    name,
  );
  if (!a || !b) {
    return h("tr", {}, h("th", { scope: "row" }, name), h("td", { colspan: 5 }, "left out"));
  }
  const found = distancesOf(a, b);
  const most = found.apart.indexOf(Math.max(...found.apart));
  const photo = isPhoto(app.net, id);
  // Drawn when they come into sight: a network has many layers.
  const draw = (x) =>
    photo ? inputPicture(app.net, x) : one(x, most, Math.max(topFor(a), topFor(b)));
  const drawChange = () => {
    const change = difference(a, b);
    return one(change, most, topOf(change.data));
  };
  const thumbs = [() => draw(a), () => draw(b), drawChange];
  return h(
    "tr",
    { "data-layer": name, "data-apart": found.all },
    h("th", { scope: "row" }, open, " ", h("small", {}, type)),
    thumbs.map((make) => h("td", {}, lazyPicture(make))),
    h("td.strong", { title: exact(found.all) }, percent(found.all), share(found.all)),
    h("td", {}, photo ? "" : nameOf(app.net, id, most)),
  );
}

// A map, or a unit; a score has the name of its class.
const nameOf = (net, id, k) =>
  id === net.output && net.shape(id).length === 1
    ? net.unitName(id, k)
    : `${net.unitWord(id)} ${k}`;

const one = (x, map, top) =>
  x.shape.length === 3 ? mapPicture(x, map, top) : vectorPicture(x.data, top);

const share = (part) =>
  h(
    "span.class-bar",
    { "aria-hidden": "true" },
    h("span.class-fill", { style: { width: `${100 * part}%` } }),
  );

function openAtMap(app, id, map) {
  app.state.tab = "compare";
  app.openLayer(id, map);
}

function otherChooser(app) {
  const { net, state } = app;
  const numbers = [...net.photos.keys()].filter((k) => k !== net.shown);
  const names = numbers.map((k) => `${k}: ${net.photos[k].name}`);
  return h(
    "label",
    {},
    "b is ",
    h(
      "select",
      {
        "aria-label": "The photo to compare with",
        "data-focus": "other",
        onchange: (event) => app.compare({}, numbers[event.target.selectedIndex]),
      },
      optionsOf(names, names[numbers.indexOf(state.other)]),
    ),
  );
}

function outcomes(app) {
  const { net, state } = app;
  const last = net.output;
  return outputs(app, last).map((y, k) =>
    h(
      "section.panel",
      { "aria-label": `Classes of ${"ab"[k]}` },
      h("h2", {}, `${"ab"[k]}: ${net.photos[k ? state.other : net.shown].name}`),
      classBars(net, 10, true, net.probabilities(y)),
    ),
  );
}

// -- one layer ------------------------------------------------------------------------------------

export function twoPhotos(app) {
  const { net, state } = app;
  const id = state.node;
  const [a, b] = outputs(app, id);
  if (!a || !b) return h("p.void.wide", {}, net.reason(id));
  const at = clampAt(state.at, a.shape); // a what-if change may have made the layer larger
  const top = Math.max(topFor(a), topFor(b));
  const change = difference(a, b);
  const names = [net.photo.name, net.photos[state.other].name];
  return [
    oneOfTwo(app, `a: ${names[0]}`, a, at, top),
    h(
      "div.arithmetic",
      { "data-form": "compare" },
      otherChooser(app),
      h(
        "div.sums-of-two",
        {},
        h("div", {}, sums(app, a, b, at), maps(app, a, b, at)),
        oneOfTwo(app, "b − a", change, at, topOf(change.data), mapSize() * 0.7),
      ),
    ),
    oneOfTwo(app, `b: ${names[1]}`, b, at, top),
  ];
}

function oneOfTwo(app, caption, x, at, top, px = mapSize()) {
  const place = layout(x.shape);
  const channel = place.map ? at[2] : 0;
  const [row, column] = place.place(at);
  const where = placeText(at, app.net.unitWord(app.state.node));
  return h(
    "figure.side",
    {},
    h("figcaption", {}, caption),
    mapView({
      picture: one(x, channel, top),
      height: place.rows,
      width: place.columns,
      marks: [cellMark(row, column)],
      size: px,
      label: `${caption}, ${where}: ${fmt(x.data[offsetOf(x.shape, at)])}`,
      onmove: (r, c) => app.moveTo(place.at(r, c, channel)),
      at: [row, column],
    }),
    legend(top, x.data),
  );
}

function sums({ net, state }, a, b, at) {
  const found = distancesOf(a, b);
  const [va, vb] = [a, b].map((x) => x.data[offsetOf(x.shape, at)]);
  const line = (name, value) => [h("dt", {}, name), h("dd", { title: exact(value) }, fmt(value))];
  return [
    h("h3", {}, `At ${placeText(at, net.unitWord(state.node))}`),
    h("dl.facts-of-two", {}, line("a", va), line("b", vb), line("b − a", vb - va)),
    h(
      "p.note",
      { "data-apart": found.all },
      `The layer's outputs are ${percent(found.all)} apart: ${FORMULA}.${whoseNumbers(net)}`,
    ),
  ];
}

// The maps or units that differ most, to choose from.
function maps(app, a, b, at) {
  const { net, state } = app;
  const found = distancesOf(a, b);
  const word = net.unitWord(state.node);
  const most = [...found.apart.keys()].sort((i, j) => found.apart[j] - found.apart[i]).slice(0, 8);
  const limit = Math.max(1e-12, found.apart[most[0]]);
  const row = (k) =>
    h(
      "tr",
      { class: k === at.at(-1) ? "own" : "" },
      h(
        "th",
        { scope: "row" },
        h(
          "button.pick",
          { "data-focus": `map-${k}`, onclick: () => app.chooseMap(k) },
          nameOf(net, state.node, k),
        ),
      ),
      h("td", { title: exact(found.apart[k]) }, fmt(found.apart[k])),
      h("td", {}, percent(found.maps[k])),
      h("td.bar-cell", {}, share(found.apart[k] / limit)),
    );
  return [
    h("h3", {}, `The ${word}s that differ most`),
    h(
      "table.terms",
      {},
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          ["", "‖b − a‖", "apart", ""].map((text) => h("th", { scope: "col" }, text)),
        ),
      ),
      h("tbody", {}, most.map(row)),
    ),
  ];
}
