// @ts-check
// One side of the bench: a map or a list of numbers, with its caption.
import { bar, mapView } from "page/cells.js";
import { exact, fmt, h, legend, screen_, zeroMaps } from "page/draw.js";
import { offsetOf, size, unravel } from "page/engine/arrays.js";
import { place } from "page/engine/windows.js";
import { isPhoto, layout, mapName, picture } from "page/views/pictures.js";
import { scaleFor, scaledNumbers } from "page/views/scale.js";
import { words } from "page/words.js";

// How large to draw a map: two stand beside the arithmetic, or above it on a phone.
const roomy = () => screen_.width >= 1600 && screen_.height >= 860;

export const mapSize = () =>
  screen_.width < 700
    ? Math.min(260, (screen_.width - 46) / 2)
    : screen_.width < 1100
      ? 200
      : roomy()
        ? 380
        : 264;

export const halfSize = () => (screen_.width < 821 ? Math.min(170, mapSize()) : mapSize() / 2 - 10);

// One side of the bench: a map with its caption.
export function side(app, what) {
  const { caption, note, id, a, channel, marks, pad, onmove, focus, label, chooser } = what;
  const px = what.size ?? mapSize();
  if (!a) {
    return h(
      "figure.side",
      {},
      h("figcaption", {}, caption),
      h("p.void", {}, note ?? words("side.left_out")),
    );
  }
  const place_ = layout(a.shape);
  const list = !place_.map && size(a.shape) <= 24;
  let body;
  if (list) body = vectorList(app, what);
  else {
    body = mapView({
      picture: picture(app.net, id, a, channel, scaleFor(a, channel)),
      height: place_.rows,
      width: place_.columns,
      pad,
      marks,
      size: px,
      label,
      at: onmove && place_.place(what.at),
      onmove: onmove && ((r, c) => onmove(place_.at(r, c, Math.max(channel, 0)))),
    });
    if (onmove) {
      body.dataset.focus = focus;
      arrowsMove(body, place_, place_.place(what.at), (r, c) =>
        onmove(place_.at(r, c, Math.max(channel, 0))),
      );
    }
  }
  const zero = a.shape.length === 3 && channel >= 0 && zeroMaps(a)[channel];
  return h(
    "figure.side",
    {},
    h(
      "figcaption",
      {},
      caption,
      note || zero
        ? h("small", {}, [note, zero ? words("card.zeros") : ""].filter(Boolean).join(", "))
        : null,
    ),
    body,
    list || (channel === -1 && isPhoto(app.net, id))
      ? null
      : legend(scaleFor(a, channel), ...scaledNumbers(a, channel)),
    chooser,
  );
}

// Arrow keys move a cell within rows and columns.
export function arrowsMove(element, { rows, columns }, [row, column], move) {
  element.addEventListener("keydown", (event) => {
    const by = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[
      event.key
    ];
    if (!by) return;
    event.preventDefault();
    const [r, c] = [row + by[0], column + by[1]];
    if (r >= 0 && r < rows && c >= 0 && c < columns) move(r, c);
  });
}

function vectorList(app, { id, a, onmove, at, focus, label }) {
  const { net } = app;
  const top = scaleFor(a);
  const chosen = at ? offsetOf(a.shape, at) : -1;
  return h(
    "ul.units",
    { "aria-label": label },
    [...a.data].map((v, k) =>
      h(
        "li",
        {},
        h(
          `button.unit${k === chosen ? ".chosen" : ""}`,
          {
            disabled: !onmove,
            "data-focus": onmove ? `${focus}-${k}` : null,
            onkeydown: (event) => {
              const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
              const to = k + (by ?? 0);
              if (!by || to < 0 || to >= a.data.length) return;
              event.preventDefault();
              event.currentTarget.closest("ul").querySelectorAll("button")[to].focus();
              onmove(unravel(a.shape, to));
            },
            "aria-pressed": String(k === chosen),
            onclick: () => onmove?.(unravel(a.shape, k)),
          },
          h("span.unit-name", {}, net.unitName(id, k)),
          bar(v, top),
          h("b", { title: exact(v) }, fmt(v)),
        ),
      ),
    ),
  );
}

// Controls for the input (of Add, Concatenate) and the map that the left side shows.
export function inputChooser(app, channels, channel, apply) {
  const { net, state } = app;
  const inputs = net.nodes[state.node].inputs;
  const parts = [];
  if (inputs.length > 1) {
    parts.push(
      h(
        "label",
        {},
        words("side.input"),
        h(
          "select",
          {
            "data-focus": "which",
            "aria-label": words("side.which"),
            value: state.which,
            onchange: (e) => app.set({ which: Number(e.target.value), inAt: null }),
          },
          inputs.map((i, k) =>
            h("option", { value: k, selected: k === state.which ? true : null }, net.nodes[i].name),
          ),
        ),
      ),
    );
  }
  if (channels > 1 && apply) {
    const source = inputs[state.which] ?? inputs[0];
    const to = (k) => apply((k + channels) % channels);
    parts.push(
      h(
        "span.stepper",
        {},
        h(
          "button",
          {
            "aria-label": words("map.previous"),
            "data-focus": "ch-",
            onclick: () => to(channel - 1),
          },
          "‹",
        ),
        h("span", {}, words("side.map_of", { name: mapName(net, source, channel), n: channels })),
        h(
          "button",
          { "aria-label": words("map.next"), "data-focus": "ch+", onclick: () => to(channel + 1) },
          "›",
        ),
      ),
    );
  }
  return parts.length ? h("div.chooser", {}, parts) : null;
}

export const outerPad = (w, shape) => {
  const after = (a) =>
    Math.max(
      0,
      (w.out[a] - 1) * w.strides[a] +
        (w.kernel[a] - 1) * w.dilation[a] +
        1 -
        w.before[a] -
        shape[a],
    );
  return [w.before[0], after(0), w.before[1], after(1)];
};

const extent = (w, a) => (w.kernel[a] - 1) * w.dilation[a] + 1;

// The window of output position (oy, ox) as marks on the input.
export function windowMarks(w, oy, ox) {
  const marks = [
    {
      row: place(w, 0, oy, 0),
      col: place(w, 1, ox, 0),
      height: extent(w, 0),
      width: extent(w, 1),
      kind: "window",
    },
  ];
  if (Math.max(...w.dilation) > 1) {
    for (let i = 0; i < w.kernel[0]; i++) {
      for (let j = 0; j < w.kernel[1]; j++) {
        marks.push({
          row: place(w, 0, oy, i),
          col: place(w, 1, ox, j),
          height: 1,
          width: 1,
          kind: "tap",
        });
      }
    }
  }
  return marks;
}

export const cellMark = (row, col, kind = "cell") => ({ row, col, height: 1, width: 1, kind });

// The smallest window over all taps.
export function boxAround(taps) {
  const rows = taps.map((t) => t.row);
  const cols = taps.map((t) => t.col);
  const row = Math.min(...rows);
  const col = Math.min(...cols);
  const height = Math.max(...rows) - row + 1;
  return { row, col, height, width: Math.max(...cols) - col + 1, kind: "window" };
}
