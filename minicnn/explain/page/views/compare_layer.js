// @ts-check
// One layer of two photos, or of two networks: which of its maps, numbers and weights differ.
import { columnHead, mapView } from "page/cells.js";
import { exact, fmt, h, legend, percent } from "page/draw.js";
import { offsetOf } from "page/engine/arrays.js";
import { difference } from "page/engine/difference.js";
import {
  FORMULA,
  distancesOf,
  nameOf,
  one,
  otherChooser,
  outputs,
  share,
  sidesOf,
  topOfChange,
  weightRows,
  whoseNumbers,
} from "page/views/pair.js";
import { layout, topFor } from "page/views/pictures.js";
import { cellMark, mapSize } from "page/views/side.js";
import { clampAt, placeText } from "page/views/spots.js";
import { words } from "page/words.js";

export function oneLayerOfTwo(app) {
  const { net, state } = app;
  const id = state.node;
  const [a, b] = outputs(app, id);
  if (!a || !b) return h("p.void.wide", {}, net.reason(id));
  const at = clampAt(state.at, a.shape); // a what-if change may have made the layer larger
  const top = Math.max(topFor(a), topFor(b));
  const change = difference(a, b);
  const names = sidesOf(app).map(({ name }) => name);
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
        oneOfTwo(app, "b − a", change, at, topOfChange(app, id, a, b), mapSize() * 0.7),
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

function sums(app, a, b, at) {
  const { net, state } = app;
  const found = distancesOf(a, b);
  const [va, vb] = [a, b].map((x) => x.data[offsetOf(x.shape, at)]);
  const word = net.unitWord(state.node);
  const place = at.length === 1 ? nameOf(net, state.node, at[0]) : placeText(at, word);
  const line = (name, value) => [h("dt", {}, name), h("dd", { title: exact(value) }, fmt(value))];
  return [
    h("h3", {}, words("compare.at", { place })),
    h("dl.facts-of-two", {}, line("a", va), line("b", vb), line("b − a", vb - va)),
    h(
      "p.note",
      { "data-apart": found.all },
      words("compare.layer_apart", {
        p: percent(found.all),
        formula: FORMULA,
        whose: whoseNumbers(app),
      }),
    ),
    changedWeights(app),
  ];
}

// How far each weight of the layer is from the other network's.
function changedWeights(app) {
  const rows = weightRows(app, app.state.node);
  if (!rows.length) return null;
  const part = ({ a, b, change }) => (a + b ? change / (a + b) : 0);
  const cell = (value) => h("td", { title: exact(value) }, fmt(value));
  return [
    h("h3", {}, words("compare.its_weights")),
    h(
      "table.terms",
      {},
      headRow(["", "‖a‖", "‖b‖", "‖b − a‖", words("compare.apart")]),
      h(
        "tbody",
        {},
        rows.map(({ name, found }) =>
          h(
            "tr",
            { "data-weight": name, "data-apart-weight": part(found) },
            h("th", { scope: "row" }, name),
            [found.a, found.b, found.change].map(cell),
            h("td", {}, percent(part(found))),
          ),
        ),
      ),
    ),
  ];
}

const headRow = (texts) => h("thead", {}, h("tr", {}, texts.map(columnHead)));

// The maps or units that differ most, to choose from.
function maps(app, a, b, at) {
  const { net, state } = app;
  const found = distancesOf(a, b);
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
    h("h3", {}, words(`compare.${net.unitWord(state.node)}s`)),
    h(
      "table.terms",
      {},
      headRow(["", "‖b − a‖", words("compare.apart"), ""]),
      h("tbody", {}, most.map(row)),
    ),
  ];
}
