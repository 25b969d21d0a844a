// @ts-check
// A layer while it learns: its kernels, what the last step added to them, and its maps.
import { colourPicture, fmt, h, mapPicture, topOf, vectorPicture } from "page/draw.js";
import { words } from "page/words.js";

const MOST = 27; // kernels or maps that are shown
const ROWS = 96; // of a matrix

export function layerPicker(app) {
  const { course, net } = app;
  const ids = net.nodes.filter(({ id }) => course.facts.nodes[id].learns.length).map((n) => n.id);
  const onchange = (e) => app.learnLayer(Number(e.target.value));
  return h(
    "select",
    {
      value: course.watched.id,
      "data-focus": "learn-layer",
      "aria-label": words("learn.layer_name"),
      onchange,
    },
    ids.map((id) =>
      h(
        "option",
        { value: id, selected: id === course.watched.id ? true : null },
        net.nodes[id].name,
      ),
    ),
  );
}

export function layerNow(app) {
  const { course, net } = app;
  const { report, watched } = course;
  if (!report) return h("p.loading", {}, words("learn.unpacking"));
  const p = report.weights.get(`${net.nodes[watched.id].key}/${watched.name}`);
  const moved = report.explanation?.moved;
  return [
    h(
      "h3",
      {},
      words("learn.weight_now", { name: watched.name }),
      h("small", {}, ` ${p.shape.join(" × ")}, ±${top(p.data)}`),
    ),
    pictures(app, p, "now"),
    moved
      ? [
          h("h3", {}, words("learn.added", { k: course.step }), h("small", {}, ` ±${top(moved)}`)),
          pictures(app, { shape: p.shape, data: moved }, "added"),
        ]
      : null,
    maps(app),
  ];
}

const top = (data) => fmt(topOf(data));

// The first of `most` numbers below n that include k.
const firstOf = (n, k, most) => Math.max(0, Math.min(n - most, k - (most >> 1)));

// Which of n are shown, if they are not all.
function shownNote(what, first, most, n) {
  if (n <= most) return null;
  return h("p.note", {}, words("learn.shown", { what, first, last: first + most - 1, n }));
}

// One kernel for each filter, in the channel of the chosen weight; a matrix; or a row of numbers.
function pictures(app, p, which) {
  const { course, net } = app;
  const { type } = net.nodes[course.watched.id];
  const scale = Math.max(1e-12, topOf(p.data));
  if (p.shape.length === 4 && p.shape[0] * p.shape[1] > 1) {
    return kernels(app, p, scale, which, type);
  }
  const columns = p.shape.at(-1);
  const all = p.data.length / columns;
  const rows = Math.min(all, ROWS);
  const first = firstOf(all, course.watched.at?.[0] ?? 0, rows);
  const data = p.data.subarray(first * columns, (first + rows) * columns);
  return [
    h(
      `div.learn-matrix${rows === 1 ? ".row-of" : ""}`,
      {
        role: "img",
        "aria-label": words(`learn.${which}_matrix`, { name: course.watched.name, rows, columns }),
      },
      mapPicture({ shape: [rows, columns, 1], data }, 0, scale),
    ),
    shownNote(words("learn.inputs"), first, rows, all),
  ];
}

function kernels(app, p, scale, which, type) {
  const { course } = app;
  const [kh, kw, channels, n] = p.shape;
  const at = course.watched.at ?? [kh >> 1, kw >> 1, 0, -1];
  const deep = type.startsWith("Depthwise") || course.watched.name === "depthwise_kernel";
  const inColour = channels === 3 && !deep && type !== "Conv2DTranspose";
  const count = deep ? channels * n : n;
  const value = (tap, channel, k) => p.data[(tap * channels + channel) * n + k];
  const one = (k) => {
    const place = deep ? [Math.floor(k / n), k % n] : [at[2], k];
    const data = Float32Array.from({ length: kh * kw }, (_, tap) => value(tap, ...place));
    return mapPicture({ shape: [kh, kw, 1], data }, 0, scale);
  };
  const coloured = (k) => {
    const data = Float32Array.from({ length: kh * kw * 3 }, (_, i) =>
      value(Math.floor(i / 3), i % 3, k),
    );
    return colourPicture({ shape: [kh, kw, 3], data }, [127.5 / scale, 127.5]);
  };
  const chosenOne = Math.max(0, deep ? at[2] * n + at[3] : at[3]);
  const first = firstOf(count, chosenOne, Math.min(count, MOST));
  const tile = (_, i) => {
    const k = first + i;
    const place = deep ? [Math.floor(k / n), k % n] : [at[2], k];
    const chosen = place[0] === at[2] && place[1] === at[3];
    const name = words("word.map_k", { k: deep ? place[0] : k });
    return h(
      `button.kernel${chosen ? ".chosen" : ""}`,
      {
        "aria-label": words(`learn.${which}_kernel`, { name }),
        "aria-pressed": String(chosen),
        title: name,
        "data-focus": `learn-${which}-${k}`,
        onclick: () => app.learnWeight({ at: [at[0], at[1], ...place] }),
      },
      inColour ? coloured(k) : one(k),
    );
  };
  return [
    h("div.learn-tiles", {}, Array.from({ length: Math.min(count, MOST) }, tile)),
    shownNote(words("learn.filters"), first, MOST, count),
  ];
}

function maps(app) {
  const { course, net } = app;
  const { report, shown } = course;
  if (!report.maps) return null;
  const whose =
    shown.example < 0
      ? words("learn.the_photo")
      : words("learn.the_class", { name: net.className(course.facts.y[shown.example]) });
  const { shape, data } = report.maps;
  const title = h(
    "h3",
    {},
    words("learn.looks_at", { name: net.nodes[shown.id].name, what: whose }),
  );
  const scale = Math.max(1e-12, topOf(data));
  if (shape.length === 2) {
    return [title, h("div.learn-matrix", {}, mapPicture({ shape: [...shape, 1], data }, 0, scale))];
  }
  if (shape.length !== 3) {
    return [title, h("div.learn-matrix", {}, vectorPicture(data, scale))];
  }
  const map = (_, k) =>
    h("span.learn-map", { title: words("word.map_k", { k }) }, mapPicture(report.maps, k, scale));
  const count = Math.min(shape[2], MOST);
  return [
    title,
    h(
      "div.learn-maps",
      {
        role: "img",
        "aria-label": words("learn.maps_of", { n: count, name: net.nodes[shown.id].name }),
      },
      Array.from({ length: count }, map),
    ),
  ];
}
