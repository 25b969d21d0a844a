// @ts-check
// Why did it decide so? Four heat maps over the photo, side by side, and the sum behind a cell.
import { mapView, sumLine, termTable } from "page/cells.js";
import { exact, fmt, h, legend, overlayPicture, screen_ } from "page/draw.js";
import { unravel } from "page/engine/arrays.js";
import {
  METHODS,
  STEPS,
  cost,
  endOf,
  ends,
  forget,
  forgetful,
  layersWithMaps,
  obstacle,
  spearman,
} from "page/heat.js";
import { breathe } from "page/net.js";
import { inputPicture } from "page/views/pictures.js";
import { arrowsMove } from "page/views/side.js";
import { words } from "page/words.js";

const AT_ONCE = 4e9; // multiply-adds that are computed without being asked for
const ALL = -1; // in the place of a layer: all those in which the network ends

export function openHeat(app) {
  const { net, root, state } = app;
  app.stop();
  state.view = "heat";
  state.heat = { ...(state.heat ?? usual(net)), target: net.target };
  app.render();
  root.querySelector('[data-focus="back"]')?.focus({ preventScroll: true });
  app.say(words("heat.opened"));
}

function usual(net) {
  const last = ends(net);
  const node = last.length > 1 ? ALL : (last[0] ?? null);
  return { node, forgotten: 0, method: "grad_cam", at: null, target: net.target };
}

// Why the page has no heat maps, or "".
export function heatObstacle(net) {
  if (net.nodes[0].shape.length !== 3) return words("heat.no_photo");
  const lost = [0, net.output].find((n) => !net.has(n));
  return lost === undefined ? "" : net.reason(lost);
}

export function heatView(app) {
  const { net, state } = app;
  state.heat ??= usual(net);
  const why = heatObstacle(net);
  if (why) return h("section.heat", {}, backToNetwork(app), h("p.void", {}, why));
  if (isStale(app)) start(app);
  const width = pictureWidth();
  const chosen = app.heat.maps[state.heat.method];
  return h(
    "section.heat",
    { "aria-label": words("heat.title") },
    head(app),
    h("p.note", {}, introduction(net)),
    h(
      "div.heats",
      { style: { gridTemplateColumns: `repeat(auto-fit, minmax(${width}px, max-content))` } },
      thePhoto(app, width),
      Object.keys(METHODS).map((method) => mapOf(app, method, width)),
    ),
    chosen?.values
      ? h("div.arithmetic", { "data-form": "heat" }, sumOf(app, state.heat.method, chosen))
      : null,
  );
}

const introduction = (net) =>
  words("heat.about", { what: net.kind ? words("heat.the_class") : words("heat.larger_number") });

function pictureWidth() {
  if (screen_.width < 700) return Math.min(300, screen_.width - 46);
  return Math.max(180, Math.min(330, Math.floor((screen_.width - 48 - 4 * 22) / 5) - 8));
}

// -- computing ------------------------------------------------------------------------------------

const subjectOf = ({ net, state: { heat } }) => [
  ...[net.alternatives, net.shown, heat.target, heat.forgotten],
];

// Whether the maps are of another photo or class, of changed weights, or of a network that forgot.
function isStale(app) {
  const now = subjectOf(app);
  return !app.heat || app.heat.subject.some((part, n) => part !== now[n]);
}

// Forgets the maps, and makes those that take only a moment.
function start(app) {
  const { net, state } = app;
  const subject = subjectOf(app);
  const old = app.heat;
  const alike = old && subject.slice(0, -1).every((part, n) => part === old.subject[n]);
  app.heat = { subject, maps: {}, real: alike && state.heat.forgotten ? old.real : {} };
  const quick = Object.keys(METHODS).filter((method) => {
    const choice = choiceOf(app);
    return !obstacle(net, method, choice) && cost(net, method, choice) <= AT_ONCE;
  });
  make(app, quick);
}

const nameOf = (method) => words(`heat.${method}.name`);

const choiceOf = ({ net, state: { heat } }) => ({
  target: heat.target,
  nodes: heat.node === ALL ? ends(net) : [heat.node ?? []].flat(),
  forgotten: heat.forgotten ? forget(net, heat.forgotten) : null,
});

// Makes these maps, one after the other, until other work begins or the view is left.
async function make(app, methods) {
  const { net, root, state } = app;
  const isCurrent = app.begin();
  const here = app.heat;
  const goesOn = () => isCurrent() && app.heat === here && state.view === "heat";
  for (const method of methods) here.maps[method] = { busy: true };
  await breathe();
  for (const method of methods) {
    if (!goesOn()) break;
    const text = root.querySelector(`[data-heat="${method}"] .void`);
    const progress = (done, all) => {
      if (text) text.textContent = words("heat.computing_of", { k: done, n: all });
      return goesOn();
    };
    const found = await METHODS[method].compute(net, choiceOf(app), progress);
    if (!found || !goesOn()) break;
    here.maps[method] = found;
    if (!state.heat.forgotten) here.real[method] = found;
    if (method === state.heat.method) state.heat.at = strongest(found.values);
    app.render();
  }
  for (const method of methods) if (here.maps[method].busy) delete here.maps[method];
  if (!goesOn()) return;
  root.dataset.heats = String(Number(root.dataset.heats ?? 0) + 1);
  app.say(words("heat.maps_of", { name: targetName(app) }));
}

function strongest(values) {
  let best = 0;
  values.data.forEach((v, o) => {
    if (Math.abs(v) > Math.abs(values.data[best])) best = o;
  });
  return unravel(values.shape, best);
}

function targetName({ net, state: { heat } }) {
  if (net.kind) return net.className(heat.target);
  return `${net.nodes[net.output].name}[${unravel(net.shape(net.output), heat.target).join(", ")}]`;
}

// -- the head -------------------------------------------------------------------------------------

function head(app) {
  const { net, state } = app;
  const { heat } = state;
  const layers = layersWithMaps(net);
  const last = ends(net).length;
  const all = last > 1 ? [[ALL, words("heat.all_ends", { n: last })]] : [];
  const set = (patch) => app.set({ heat: { ...heat, ...patch } });
  return h(
    "header.layer-head",
    {},
    backToNetwork(app),
    h("h2", {}, words("heat.why")),
    h("span.pickers", {}, [
      net.kind
        ? select("heat-class", words("heat.speaks_for"), classesOf(net), heat.target, (target) =>
            set({ target }),
          )
        : h("span", {}, targetName(app)),
      layers.length
        ? select(
            "heat-layer",
            words("heat.gradcam_of"),
            [...all, ...layers.map(({ id, name }) => [id, name])],
            heat.node,
            (node) => chooseNode(app, node),
          )
        : null,
      select("heat-forgotten", words("heat.network"), memories(net), heat.forgotten, (forgotten) =>
        set({ forgotten }),
      ),
    ]),
  );
}

function chooseNode(app, node) {
  app.set({ heat: { ...app.state.heat, node } });
  delete app.heat.real.grad_cam;
  if (!app.heat.maps.grad_cam?.busy) make(app, ["grad_cam"]);
}

const backToNetwork = (app) =>
  h(
    "button.quiet.back-to",
    { onclick: () => app.overview(), "data-focus": "back", title: words("help.esc.key") },
    words("to_network"),
  );

const classesOf = (net) => [...net.probabilities().keys()].map((k) => [k, net.className(k)]);

const memories = (net) => [
  [0, words("heat.as_it_is")],
  ...forgetful(net).map(({ name }, n) => [
    n + 1,
    words("heat.forgets", { down: n ? words("heat.down_to") : "", name }),
  ]),
];

const select = (key, label, options, value, apply) =>
  h(
    "label",
    {},
    `${label} `,
    h(
      "select",
      { "data-focus": key, value, onchange: (e) => apply(Number(e.target.value)) },
      options.map(([k, text]) =>
        h("option", { value: k, selected: k === value ? true : null }, text),
      ),
    ),
  );

// -- the maps -------------------------------------------------------------------------------------

function thePhoto(app, width) {
  const { net, state } = app;
  const x = net.y(0);
  const p = net.probabilities();
  return h(
    "figure.side",
    {},
    h("figcaption", {}, words("heat.photo")),
    mapView({
      picture: inputPicture(net, x),
      ...{ height: x.shape[0], width: x.shape[1], size: width, label: words("heat.photo") },
    }),
    state.heat.forgotten
      ? null
      : h(
          "p.note",
          {},
          p
            ? `p(${targetName(app)}) = ${fmt(p[state.heat.target])}`
            : `${targetName(app)} = ${fmt(net.y(net.output).data[state.heat.target])}`,
        ),
  );
}

function mapOf(app, method, width) {
  const { state } = app;
  const about = (what) => words(`heat.${method}.${what}`);
  const found = app.heat.maps[method];
  const chosen = method === state.heat.method;
  return h(
    `figure.side${chosen ? ".chosen" : ""}`,
    { "data-heat": method },
    h("figcaption", { title: about("formula") }, about("name")),
    found?.values ? canvasOf(app, method, found, width) : waiting(app, method, found, width),
    found?.values ? legend(endOf(found.pixels), found.values.data) : null,
    correlation(app, method, found),
    h("p.note", {}, about("can"), " ", h("b", {}, words("heat.but")), about("cannot")),
  );
}

function waiting(app, method, found, width) {
  const { net } = app;
  const choice = choiceOf(app);
  const why = obstacle(net, method, choice);
  const [height, across] = net.nodes[0].shape;
  const style = {
    width: `${width}px`,
    minHeight: `${(width * height) / Math.max(height, across)}px`,
  };
  if (why) return h("p.void", { style }, words("not_available", { why }));
  if (found?.busy) return h("p.void", { style }, words("heat.computing"));
  return h(
    "p.void",
    { style },
    h(
      "button.primary",
      { "data-focus": `make-${method}`, onclick: () => (make(app, [method]), app.render()) },
      words("heat.compute"),
    ),
    h("span", {}, words("heat.cost", { n: Math.round(cost(net, method, choice) / 1e9) })),
  );
}

// The cell of a map in pixels of the photo: [row, column, height, width].
function boxOf(app, method, found, [row, column]) {
  const [height, width] = app.net.nodes[0].shape;
  const [rows, columns] = found.values.shape;
  if (method === "occlusion") return [found.rows[row], found.columns[column], ...found.side];
  return [(row * height) / rows, (column * width) / columns, ...[height / rows, width / columns]];
}

// The cell whose middle is nearest to a pixel.
function cellAt(app, method, found, pixel) {
  return [0, 1].map((axis) => {
    const middle = (i) => {
      const box = boxOf(app, method, found, axis ? [0, i] : [i, 0]);
      return box[axis] + box[axis + 2] / 2 - 0.5;
    };
    const far = (i) => Math.abs(middle(i) - pixel[axis]);
    let best = 0;
    for (let i = 1; i < found.values.shape[axis]; i++) if (far(i) < far(best)) best = i;
    return best;
  });
}

function canvasOf(app, method, found, width) {
  const { net, state } = app;
  const x = net.y(0);
  const [rows, columns] = found.values.shape;
  const own = method === state.heat.method;
  const at = own && state.heat.at ? state.heat.at : strongest(found.values);
  const move = (r, c) => {
    if (own && r === at[0] && c === at[1]) return;
    app.set({ heat: { ...state.heat, method, at: [r, c] } });
    const value = found.values.data[r * columns + c];
    app.say(words("heat.said", { name: nameOf(method), row: r, column: c, value: fmt(value) }));
    // After the click, which lost its canvas when the view was drawn again.
    setTimeout(() => focusMap(app, method));
  };
  const [row, col, high, wide] = boxOf(app, method, found, at);
  const canvas = mapView({
    picture: overlayPicture(x, net.range, found.pixels, endOf(found.pixels)),
    ...{ height: x.shape[0], width: x.shape[1], size: width, at: [-1, -1] },
    marks: own ? [{ row, col, height: high, width: wide, kind: "cell" }] : [],
    label: words("heat.cell", { name: nameOf(method), row: at[0], column: at[1], rows, columns }),
    onmove: (r, c) => move(...cellAt(app, method, found, [r, c])),
  });
  canvas.dataset.focus = `heat-${method}`;
  arrowsMove(canvas, { rows, columns }, at, move);
  return canvas;
}

function focusMap({ root }, method) {
  /** @type {HTMLElement | null} */
  const canvas = root.querySelector(`[data-focus="heat-${method}"]`);
  canvas?.focus({ preventScroll: true });
}

// Beside the true map, that of a network that forgot.
function correlation(app, method, found) {
  const real = app.heat.real[method];
  if (!app.state.heat.forgotten || !found?.values || !real) return null;
  const [a, b] = [real.values.data, found.values.data];
  const text = (v) => (Number.isNaN(v) ? "–" : v.toFixed(2).replace("-", "−"));
  return h(
    "p.verdict",
    {
      "data-correlation": spearman(a, b),
      title: words("heat.spearman"),
    },
    words("heat.correlation"),
    h("b", {}, text(spearman(a, b))),
    words("heat.of_sizes"),
    h("b", {}, text(spearman(a.map(Math.abs), b.map(Math.abs)))),
  );
}

// -- the sum --------------------------------------------------------------------------------------

function sumOf(app, method, found) {
  const { state } = app;
  const at = state.heat.at ?? strongest(found.values);
  const value = found.values.data[at[0] * found.values.shape[1] + at[1]];
  const title = h("h3", {}, words("heat.at", { name: nameOf(method), row: at[0], column: at[1] }));
  const formula = h("p.note", {}, words(`heat.${method}.${found.nodes ? "sum" : "formula"}`));
  if (method === "occlusion") {
    const [sum, photo] = occlusionSum(app, found, at, value);
    return [h("div.sum-of", {}, title, formula, sum), photo];
  }
  const { terms, total } = found.terms(at);
  const sum = found.weights
    ? [
        ["Σ", "A·α", total],
        ["→", "max(Σ, 0)", value, true],
      ]
    : [["=", "Σ", value, true]];
  return [
    h(
      "div.sum-of",
      {},
      ...[title, formula, sumLine(sum)],
      method === "integrated_gradients" ? whole(found) : null,
    ),
    termTable(terms, {
      ...tableOf(app, method, found, at),
      limit: screen_.height > 860 ? 10 : 6,
    }),
  ];
}

// What the terms of a sum consist of, and where they lead.
function tableOf(app, method, found, at) {
  if (found.nodes) {
    return { heads: [nameOf(method), ""], onpick: (t) => chooseNode(app, t.index) };
  }
  if (method === "grad_cam") {
    const { node } = app.state.heat;
    return { heads: ["A", "α"], onpick: (t) => app.openAt(node, [...at, t.index]) };
  }
  const mean = method === "integrated_gradients";
  return { heads: [words("word.pixel"), words(mean ? "heat.mean_gradient" : "heat.gradient")] };
}

function occlusionSum(app, found, at, value) {
  const x = found.covered(at);
  const without = found.without.data[at[0] * found.columns.length + at[1]];
  return [
    sumLine([
      ["", words("heat.p_photo"), found.p],
      ["−", words("heat.p_covered"), without],
      ["=", "", value, true],
    ]),
    mapView({
      picture: inputPicture(app.net, x),
      ...{ height: x.shape[0], width: x.shape[1], size: 150, label: words("heat.covered") },
    }),
  ];
}

// Completeness: all shares together are what the score gains.
const whole = ({ total, score, baseline }) =>
  h(
    "p.verdict",
    { "data-total": total, "data-gain": score - baseline },
    words("heat.add_up"),
    h("b", { title: exact(total) }, fmt(total)),
    words("heat.gains"),
    h("b", { title: exact(score - baseline) }, fmt(score - baseline)),
    words("heat.rest", { n: STEPS }),
  );
