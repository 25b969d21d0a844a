// @ts-check
// What is compared, a and b: two photos, or what two networks see in one; how far apart they are.
import { h, mapPicture, topOf, vectorPicture } from "page/draw.js";
import { difference, distances, norms } from "page/engine/difference.js";
import { usualRival } from "page/rivals.js";
import { topFor } from "page/views/pictures.js";
import { optionsOf } from "page/views/whatif.js";
import { words } from "page/words.js";

export const FORMULA = "‖b − a‖ / (‖a‖ + ‖b‖)";

export const whoseNumbers = ({ net, state }) =>
  !net.changed
    ? ""
    : state.rival === null
      ? words("compare.unchanged")
      : words("compare.as_stored");

const known = new WeakMap(); // output for one photo → output for another → distances

export function distancesOf(a, b) {
  if (!known.has(a)) known.set(a, new WeakMap());
  if (!known.get(a).has(b)) known.get(a).set(b, distances(a, b));
  return known.get(a).get(b);
}

/**
 * What is compared, a and b: the photo shown and another one, or what two networks see in it.
 * @param {App} app
 */
export function sidesOf({ net, rivals, state }) {
  if (state.rival === null) {
    return [net.shown, state.other].map((photo) => ({ net, photo, name: net.photos[photo].name }));
  }
  const { name, net: other } = rivals[state.rival];
  const photo = net.shown;
  return [
    { net, photo, name: net.name },
    { net: other, photo, name },
  ];
}

export const rivalOf = ({ rivals, state }) => (state.rival === null ? null : rivals[state.rival]);

// The number of a layer in what it is compared with; undefined if that has no such layer.
export const partner = (app, id) => (rivalOf(app) ? rivalOf(app).pairs.get(id) : id);

// The outputs of a layer of the unchanged network, and of what it is compared with.
export function outputs(app, id) {
  const [a, b] = sidesOf(app);
  const other = partner(app, id);
  return [a.net.valueOf(a.photo, id), other === undefined ? null : b.net.valueOf(b.photo, other)];
}

// Why a layer cannot be compared, or "".
export function obstacleToComparing(app, id) {
  const rival = rivalOf(app);
  return rival && !rival.pairs.has(id) ? words("compare.no_layer", { name: rival.name }) : "";
}

// What is compared: two "photos" or "networks".
export const comparedKind = (app) => {
  const { other, rival } = app.state;
  const unasked = rival === null && other === null;
  return rival !== null || (unasked && usualRival(app) !== null) ? "networks" : "photos";
};

export const apartOf = (app, id) => {
  const [a, b] = outputs(app, id);
  return a && b ? distancesOf(a, b).all : null;
};

// A function: how far apart the weights of a layer are in both networks; null if it has none.
export const weightsApart = (app) => (id) => {
  const rows = weightRows(app, id);
  if (!rows.length) return null;
  const sum = (key) => Math.sqrt(rows.reduce((s, row) => s + row.found[key] ** 2, 0));
  const below = sum("a") + sum("b");
  return below ? sum("change") / below : 0;
};

// Each weight of a layer in both networks: {name, found} with the norms of a, b and b − a.
export function weightRows(app, id) {
  const [{ net: first }, { net: second }] = sidesOf(app);
  const other = partner(app, id);
  if (first === second || other === undefined) return [];
  const stored = rivalOf(app).norms[id];
  if (stored) {
    return Object.entries(stored).map(([name, [a, b, change]]) => {
      return { name, found: { a, b, change } };
    });
  }
  return Object.keys(first.nodes[id].params)
    .map((name) => ({
      name,
      a: first.originalParam(id, name),
      b: second.originalParam(other, name),
    }))
    .filter(({ a, b }) => b && String(a.shape) === String(b.shape))
    .map(({ name, a, b }) => ({ name, found: normsOf(a, b) }));
}

function normsOf(a, b) {
  if (!known.has(a.data)) known.set(a.data, new WeakMap());
  const of = known.get(a.data);
  if (!of.has(b.data)) of.set(b.data, norms(a, b));
  return of.get(b.data);
}

// A map, or a unit; a score has the name of its class.
export const nameOf = (net, id, k) =>
  id === net.output && net.shape(id).length === 1
    ? net.unitName(id, k)
    : words(`word.${net.unitWord(id)}_k`, { k });

export const one = (x, map, top) =>
  x.shape.length === 3 ? mapPicture(x, map, top) : vectorPicture(x.data, top);

// Where the scale of b − a ends: rounding alone stays nearly white, also that to 11 bits.
export function topOfChange(app, id, a, b) {
  const [first, second] = sidesOf(app);
  const rounded = first.net.isRounded(id) || second.net.isRounded(partner(app, id));
  const least = (rounded ? 2e-2 : 1e-4) * Math.max(topFor(a), topFor(b));
  return Math.max(topOf(difference(a, b).data), least);
}

export const share = (part) =>
  h(
    "span.class-bar",
    { "aria-hidden": "true" },
    h("span.class-fill", { style: { width: `${100 * part}%` } }),
  );

export function otherChooser(app) {
  const { net, rivals, state } = app;
  const photos = [...net.photos.keys()].filter((k) => k !== net.shown);
  const choices = [
    ...photos.map((k) => ({ other: k, rival: null, text: `${k}: ${net.photos[k].name}` })),
    ...rivals.map(({ name }, k) => ({
      other: state.other,
      rival: k,
      text: words("compare.network", { name }),
    })),
  ];
  const chosen = choices.find(({ other, rival }) =>
    rival === null ? state.rival === null && other === state.other : rival === state.rival,
  );
  return h(
    "label",
    {},
    words("compare.b_is"),
    h(
      "select",
      {
        "aria-label": rivals.length ? words("compare.with_what") : words("compare.with"),
        "data-focus": "other",
        onchange: (event) => app.compare({}, choices[event.target.selectedIndex]),
      },
      optionsOf(
        choices.map(({ text }) => text),
        chosen?.text,
      ),
    ),
  );
}
