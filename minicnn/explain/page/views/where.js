// @ts-check
// Where a map looks: its strongest places in the photo, and what it responds to most.
import { colourPicture, fmt, h, penOf } from "page/draw.js";
import { dreamPanel } from "page/dream.js";
import { offsetOf } from "page/engine/arrays.js";
import { isPhoto, layout, lazyPicture } from "page/views/pictures.js";
import { side } from "page/views/side.js";
import { placeText } from "page/views/spots.js";
import { words } from "page/words.js";

function strongestPlaces(a, channel, n = 6) {
  const [rows, columns, channels] = a.shape;
  const taken = [];
  const order = [];
  for (let o = 0; o < rows * columns; o++) order.push(o);
  order.sort((i, j) => a.data[j * channels + channel] - a.data[i * channels + channel]);
  const apart = Math.max(1, Math.round(Math.min(rows, columns) / 12));
  for (const o of order) {
    const r = Math.floor(o / columns);
    const c = o % columns;
    if (taken.every((t) => Math.abs(t.row - r) > apart || Math.abs(t.col - c) > apart)) {
      taken.push({ row: r, col: c, value: a.data[o * channels + channel] });
    }
    if (taken.length === n) break;
  }
  return taken;
}

export function places(app) {
  const { net, state } = app;
  const id = state.node;
  const y = net.y(id);
  const x = net.y(0);
  const at = state.at;
  if (!y || !x) return h("p.void.wide", {}, net.reason(id));
  const whole = colourPicture(x, net.range);
  const own = layout(y.shape);
  const field = (where) => net.field(id, where);
  const list = own.map ? strongestPlaces(y, at[2]) : [{ value: y.data[offsetOf(y.shape, at)] }];
  const here = field(at);
  const marks = own.map ? list.map((p) => windowMark(field([p.row, p.col, at[2]]))) : [];
  return [
    side(app, {
      caption: words("card.photo"),
      note: own.map ? words("where.responds", { k: at[2] }) : words("where.all_of_it"),
      id: 0,
      a: x,
      channel: isPhoto(net, 0) ? -1 : 0,
      marks: marks.length && here[1] - here[0] < x.shape[0] - 1 ? marks : [],
      label: words("where.photo"),
    }),
    h(
      "div.arithmetic",
      { "data-form": "places" },
      h("h3", {}, own.map ? words("where.strongest", { k: at[2] }) : words("where.sees_all")),
      h(
        "p.note",
        {},
        words("where.sees", {
          who: own.map
            ? words("where.the_cell", { place: placeText(at) })
            : words("where.here", { place: placeText(at, net.unitWord(id)) }),
          top: here[0],
          bottom: here[1],
          left: here[2],
          right: here[3],
          height: here[1] - here[0] + 1,
          width: here[3] - here[2] + 1,
        }),
      ),
      own.map
        ? h(
            "div.crops",
            {},
            list.map((p) => crop(app, whole, p, at[2])),
          )
        : null,
    ),
    h("figure.side.dream", {}, h("figcaption", {}, words("where.most")), dreamPanel(app, id, at)),
  ];
}

const windowMark = ([top, bottom, left, right]) => ({
  row: top,
  col: left,
  height: bottom - top + 1,
  width: right - left + 1,
  kind: "window",
});

// A button that shows the part of the photo that a cell sees.
function crop(app, whole, { row, col, value }, map_) {
  const [top, bottom, left, right] = app.net.field(app.state.node, [row, col, map_]);
  const [height, width] = [bottom - top + 1, right - left + 1];
  const cut = lazyPicture(() => {
    if (width < 1 || height < 1) return null; // its window covers only padding
    const canvas = document.createElement("canvas");
    canvas.width = width;
    canvas.height = height;
    penOf(canvas).drawImage(whole, left, top, width, height, 0, 0, width, height);
    return canvas;
  });
  return h(
    "button.crop",
    {
      title: words("where.crop", { row, column: col }),
      "aria-label": words("where.crop_open", { row, column: col, value: fmt(value) }),
      onclick: () => app.set({ at: [row, col, map_], tab: "number" }),
    },
    cut,
    h("b", {}, fmt(value)),
  );
}
