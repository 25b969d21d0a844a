// @ts-check
// Two photos, or two networks, side by side in all layers: where they differ.
import { columnHead } from "page/cells.js";
import { exact, h, percent } from "page/draw.js";
import { difference } from "page/engine/difference.js";
import { classBars } from "page/views/outcome.js";
import {
  FORMULA,
  apartOf,
  comparedKind,
  distancesOf,
  nameOf,
  obstacleToComparing,
  one,
  otherChooser,
  outputs,
  rivalOf,
  share,
  sidesOf,
  topOfChange,
  weightsApart,
  whoseNumbers,
} from "page/views/pair.js";
import { inputPicture, isPhoto, lazyPicture, topFor } from "page/views/pictures.js";
import { said, words } from "page/words.js";

export function comparison(app) {
  const kind = comparedKind(app);
  return h(
    "section.comparison",
    { "aria-label": words(`compare.title_${kind}`) },
    h(
      "div.caption",
      {},
      h(
        "button.quiet",
        { onclick: () => app.overview(), "data-focus": "back" },
        words("to_network"),
      ),
      h("p", {}, words(`compare.about_${kind}`, { formula: FORMULA, whose: whoseNumbers(app) })),
      otherChooser(app),
      rivalOf(app) ? h("p.most-apart", {}, mostApart(app)) : null,
    ),
    h(
      "div.river",
      {},
      h(
        "div.table-scroller",
        {
          tabindex: 0,
          role: "group",
          "aria-label": words("compare.layers"),
          "data-focus": "layers",
        },
        h("table.compared", {}, h("thead", {}, h("tr", {}, heads(app))), h("tbody", {}, rows(app))),
      ),
      h("div.two-outcomes", {}, outcomes(app)),
    ),
  );
}

// In words: how many layers the networks share, and which differ most.
function mostApart(app) {
  const { net } = app;
  const { name, net: other, pairs } = rivalOf(app);
  const alone = net.nodes.length - pairs.size;
  const theirs = other.nodes.length - pairs.size;
  const counts = { n: pairs.size, alone, own: net.name, theirs, other: name };
  const shared = alone + theirs ? words("compare.shared", counts) : "";
  const most = (what, value) => {
    const all = net.nodes.map(({ id, name: layer }) => ({ id, name: layer, apart: value(id) }));
    // That both have the same photo says nothing of their layers.
    const known = all.filter((p) => p.apart !== null && (p.id || p.apart));
    if (!known.length) return "";
    const two = known.sort((p, q) => q.apart - p.apart).slice(0, 2);
    const told = two
      .filter((p, k) => p.apart > (k ? 5e-4 : 0))
      .map((p) => `${p.name} (${percent(p.apart)})`);
    return told.length
      ? words(`compare.${what}_differ`, { where: said(told) })
      : words(`compare.${what}_equal`);
  };
  return shared + most("outputs", (id) => apartOf(app, id)) + most("weights", weightsApart(app));
}

function heads(app) {
  const side = ({ name }, k) => {
    return h("th.side-name", { scope: "col", title: name }, `${"ab"[k]}: ${name}`);
  };
  const weights = rivalOf(app) ? [words("compare.weights_apart")] : [];
  return [
    columnHead(words("compare.layer")),
    ...sidesOf(app).map(side),
    ...["b − a", words("compare.apart"), ...weights, words("compare.map")].map(columnHead),
  ];
}

function layerRow(app, node) {
  const { id, name, type } = node;
  const [a, b] = outputs(app, id);
  if (!a || !b) {
    const left = a && obstacleToComparing(app, id);
    return left ? aloneRow(app, app.net, node, a, 0) : rowOf(name, type, words("card.left_out"));
  }
  const found = distancesOf(a, b);
  const most = found.apart.indexOf(Math.max(...found.apart));
  const open = h(
    "button.pick",
    { "data-focus": `row-${id}`, onclick: () => openAtMap(app, id, most) },
    name,
  );
  const photo = isPhoto(app.net, id);
  // Drawn when they come into sight: a network has many layers.
  const draw = (x) =>
    photo ? inputPicture(app.net, x) : one(x, most, Math.max(topFor(a), topFor(b)));
  const drawChange = () => {
    return one(difference(a, b), most, topOfChange(app, id, a, b));
  };
  const thumbs = [() => draw(a), () => draw(b), drawChange];
  return h(
    "tr",
    { "data-layer": name, "data-apart": found.all },
    h("th", { scope: "row" }, open, " ", h("small", {}, type)),
    thumbs.map((make) => h("td", {}, lazyPicture(make))),
    apartCell(found.all),
    rivalOf(app) ? apartCell(weightsApart(app)(id), "weights") : null,
    h("td", {}, photo ? "" : nameOf(app.net, id, most)),
  );
}

const apartCell = (apart, what = "outputs") =>
  apart === null
    ? h("td", {}, "")
    : h(
        "td.strong",
        { title: exact(apart), [`data-${what}`]: apart },
        h("small.what", {}, words(what === "weights" ? "compare.weights_apart" : "compare.apart")),
        percent(apart),
        share(apart),
      );

const rowOf = (name, type, ...cells) =>
  h(
    "tr",
    { "data-layer": name },
    h("th", { scope: "row" }, name, " ", h("small", {}, type)),
    cells.map((cell, k) => h("td", k === cells.length - 1 ? { colspan: 6 - k } : {}, cell)),
  );

// A layer that only one of the two networks has: its strongest map on the side of its network.
function aloneRow(app, net, { id, name, type }, x, side) {
  const channels = x.shape.at(-1);
  const sizes = new Float64Array(channels);
  x.data.forEach((v, i) => (sizes[i % channels] += Math.abs(v)));
  const most = sizes.indexOf(Math.max(...sizes));
  const draw = () => (isPhoto(net, id) ? inputPicture(net, x) : one(x, most, topFor(x)));
  const only = words("compare.only_in", {
    name: sidesOf(app)[side].name,
    shape: x.shape.join(" × "),
  });
  return rowOf(name, type, ...(side ? [""] : []), lazyPicture(draw), only);
}

// The rows of all layers; what only the other network has comes before the next layer of both.
function rows(app) {
  const rival = rivalOf(app);
  const { nodes } = app.net;
  if (!rival) return nodes.map((node) => layerRow(app, node));
  const { net } = rival;
  const { photo } = sidesOf(app)[1];
  const strangers = net.nodes.filter(({ id }) => !rival.back.has(id));
  const until = (end) => {
    const found = [];
    while (strangers.length && strangers[0].id < end) found.push(strangers.shift());
    return found.map((node) => aloneRow(app, net, node, net.valueOf(photo, node.id), 1));
  };
  const all = nodes.flatMap((node) => [
    ...until(rival.pairs.get(node.id) ?? 0),
    layerRow(app, node),
  ]);
  return [...all, ...until(Infinity)];
}

function openAtMap(app, id, map) {
  app.state.tab = "compare";
  app.openLayer(id, map);
}

function outcomes(app) {
  return sidesOf(app).map(({ net, photo, name }, k) =>
    net.kind
      ? h(
          "section.panel",
          { "aria-label": words("compare.classes", { which: "ab"[k] }) },
          h("h2", { title: name }, `${"ab"[k]}: ${name}`),
          classBars(net, 10, true, net.probabilities(net.valueOf(photo, net.output))),
        )
      : null,
  );
}
