// @ts-check
// The bench for a pixel of the photo.
import { numberGrid } from "page/cells.js";
import { h, screen_, shapeText } from "page/draw.js";
import { offsetOf } from "page/engine/arrays.js";
import { isPhoto, layout, placeIn, topFor } from "page/views/pictures.js";
import { cellMark, mapSize, side } from "page/views/side.js";
import { pixelText } from "page/views/spots.js";
import { words } from "page/words.js";

export function photoOnly(app) {
  const { net, state } = app;
  const x = net.y(0);
  const at = state.at;
  const [r, c] = layout(x.shape).place(at);
  const image = x.shape.length === 3;
  const channels = x.shape.at(-1);
  const where = image
    ? words("photo.at", { place: pixelText(at) })
    : words("photo.step", { n: at[0] });
  return [
    side(app, {
      caption: words("photo.caption"),
      note: shapeText(x.shape),
      id: 0,
      a: x,
      channel: isPhoto(net, 0) ? -1 : at[2],
      marks: [cellMark(r, c)],
      at,
      onmove: (to) => app.moveTo([...to.slice(0, -1), image ? at[2] : to[1]]),
      focus: "out",
      label: words(image ? "photo.photo" : "photo.input", { place: placeIn(net, 0, at) }),
      size: Math.min(Math.max(300, mapSize()), screen_.width - 40),
    }),
    h(
      "div.arithmetic",
      { "data-form": "photo" },
      h("h3", {}, where),
      numberGrid(
        1,
        channels,
        (_, k) => x.data[offsetOf(x.shape, [...at.slice(0, -1), k])],
        topFor(x),
        { label: image ? words("photo.pixel") : words("photo.step_label") },
      ),
      h("p.note", {}, x.shape[2] === 3 ? words("photo.rgb") : words("photo.numbers")),
      net.photo.picture
        ? h("img.original", {
            src: net.photo.picture,
            alt: words("photo.original", { name: net.photo.name }),
          })
        : null,
    ),
  ];
}
