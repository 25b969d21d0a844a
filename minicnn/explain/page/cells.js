// @ts-check
// The pieces of a view: a map with a window on it, grids of numbers, bars, sums.
import { cellText, colour, exact, fmt, h, inkOn, penOf, theme, unitFor } from "page/draw.js";
import { power } from "page/powers.js";
import { words } from "page/words.js";

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// A map (or the photo) with room for padding, with marks, and with a cell that arrow keys move.
// options: {picture, height, width, pad: [top, bottom, left, right], marks, size,
// label, onmove, at}
// marks: {row, col, height, width, kind: "cell" | "window" | "tap"}
export function mapView(options) {
  const canvas = h("canvas.map", {
    tabindex: options.onmove ? 0 : null,
    role: options.onmove ? "application" : "img",
    "aria-label": options.label,
  });
  const [top, bottom, left, right] = options.pad ?? [0, 0, 0, 0];
  const rows = options.height + top + bottom;
  const columns = options.width + left + right;
  const s = options.size / Math.max(rows, columns);
  const ratio = Math.max(1, window.devicePixelRatio || 1);
  const edge = 4; // room for outlines at the border
  canvas.style.width = `${columns * s + 2 * edge}px`;
  canvas.style.height = `${rows * s + 2 * edge}px`;
  canvas.width = Math.round((columns * s + 2 * edge) * ratio);
  canvas.height = Math.round((rows * s + 2 * edge) * ratio);
  const g = penOf(canvas);
  g.scale(ratio, ratio);
  g.translate(edge, edge);
  if (top + bottom + left + right) hatch(g, columns * s, rows * s, Math.min(7, Math.max(4, s)));
  g.imageSmoothingEnabled = false;
  g.drawImage(options.picture, left * s, top * s, options.width * s, options.height * s);
  if (s >= 9) gridLines(g, rows, columns, s);
  g.strokeStyle = css("--line");
  g.strokeRect(-0.5, -0.5, columns * s + 1, rows * s + 1);
  for (const mark of options.marks ?? []) {
    outline(
      g,
      (mark.col + left) * s,
      (mark.row + top) * s,
      mark.width * s,
      mark.height * s,
      mark.kind,
    );
  }
  if (options.onmove) {
    const move = (event) => {
      const box = canvas.getBoundingClientRect();
      const zoom = box.width / (columns * s + 2 * edge); // of a presentation
      const [x, y] = [event.clientX - box.left, event.clientY - box.top].map(
        (v) => v / zoom - edge,
      );
      const row = clamp(Math.floor(y / s) - top, options.height);
      const col = clamp(Math.floor(x / s) - left, options.width);
      if (event.type === "pointerdown" || row !== options.at[0] || col !== options.at[1]) {
        options.onmove(row, col);
      }
    };
    canvas.addEventListener("pointerdown", move);
    canvas.addEventListener(
      "pointermove",
      (event) => event.pointerType === "mouse" && event.buttons === 1 && move(event),
    ); // a finger scrolls
  }
  return canvas;
}

const clamp = (v, n) => Math.max(0, Math.min(n - 1, v));

function hatch(g, width, height, gap) {
  g.save();
  g.fillStyle = css("--hatch-ground");
  g.fillRect(0, 0, width, height);
  g.strokeStyle = css("--hatch");
  g.lineWidth = 1;
  g.beginPath();
  for (let d = -height; d < width; d += gap) {
    g.moveTo(d, height);
    g.lineTo(d + height, 0);
  }
  g.stroke();
  g.restore();
}

function gridLines(g, rows, columns, s) {
  g.strokeStyle = theme() === "dark" ? "rgb(255 255 255 / .09)" : "rgb(0 0 0 / .08)";
  g.lineWidth = 1;
  g.beginPath();
  for (let r = 1; r < rows; r++) {
    g.moveTo(0, r * s);
    g.lineTo(columns * s, r * s);
  }
  for (let c = 1; c < columns; c++) {
    g.moveTo(c * s, 0);
    g.lineTo(c * s, rows * s);
  }
  g.stroke();
}

function outline(g, x, y, width, height, kind) {
  const grow = kind === "cell" ? Math.max(0, (7 - width) / 2) : 0;
  const line = (colour_, thick, by) => {
    g.strokeStyle = colour_;
    g.lineWidth = thick;
    g.strokeRect(x - grow - by, y - grow - by, width + 2 * (grow + by), height + 2 * (grow + by));
  };
  if (kind === "tap") return line(css("--accent"), 1, -0.5);
  line(css("--bg"), 4, 1);
  line(css(kind === "cell" ? "--ink" : "--accent"), 2, 1);
}

// A grid of numbers on coloured cells. get(i, j) gives {value, padded, mark, title} or a number.
export function numberGrid(rows, columns, get, top, options = {}) {
  const [unit] = unitFor(top);
  const small = rows * columns > 30 || columns > 5;
  const grid = h("div.numbers", {
    style: { gridTemplateColumns: `repeat(${columns}, var(--cell))` },
    role: "table",
    "aria-label": options.label,
    class: `numbers${small ? " small" : columns > 4 ? " five" : ""}`,
  });
  for (let i = 0; i < rows; i++) {
    const line = h("div.row", { role: "row" });
    grid.append(line);
    for (let j = 0; j < columns; j++) {
      const found = get(i, j);
      const cell = typeof found === "number" ? { value: found } : found;
      const classes = `number${cell.padded ? " padded" : ""}${cell.mark ? ` ${cell.mark}` : ""}`;
      line.append(
        h(
          "span",
          {
            class: classes,
            role: "cell",
            title: cell.title ?? (cell.padded ? words("sum.padding") : exact(cell.value)),
            style: cell.padded
              ? {}
              : { background: colour(cell.value, top), color: inkOn(cell.value, top) },
            onclick: cell.onclick,
          },
          cell.padded ? (cell.text ?? "0") : cellText(cell.value, unit),
        ),
      );
    }
  }
  return grid;
}

// A bar from the middle: left and blue below zero, right and orange above it.
export function bar(v, top) {
  const share = Math.min(1, Math.abs(v) / (top || 1)) * 50;
  return h(
    "span.bar",
    { "aria-hidden": "true" },
    h("span.bar-fill", {
      class: `bar-fill ${v < 0 ? "below" : "above"}`,
      style: { width: `${share}%`, left: v < 0 ? `${50 - share}%` : "50%" },
    }),
  );
}

// The head of a column of a table.
export const columnHead = (text) => (text ? h("th", { scope: "col" }, text) : h("td"));

// A table of terms, the largest first: name, input, weight, product, bar.
export function termTable(terms, options = {}) {
  const sorted = [...terms].sort((a, b) => Math.abs(b.product) - Math.abs(a.product));
  const shown = sorted.slice(0, options.limit ?? 12);
  const rest = sorted.slice(shown.length);
  const top = Math.abs(sorted[0]?.product ?? 1);
  const [a, b] = options.heads ?? [words("word.input"), words("word.weight")];
  const row = (name, x, w, product, extra = {}, pick = null) =>
    h(
      "tr",
      extra,
      h(
        "th",
        { scope: "row" },
        pick ? h("button.pick", { onclick: pick, "data-focus": `pick-${name}` }, name) : name,
      ),
      h("td", { title: x === null ? null : exact(x) }, x === null ? "" : fmt(x)),
      h("td.times", {}, w === null ? "" : "×"),
      h("td", { title: w === null ? null : exact(w) }, w === null ? "" : fmt(w)),
      h("td.times", {}, "="),
      h("td.strong", { title: exact(product) }, fmt(product)),
      h("td.bar-cell", {}, bar(product, top)),
    );
  return h(
    "table.terms",
    {},
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        columnHead(options.what),
        columnHead(a),
        columnHead(""),
        columnHead(b),
        columnHead(""),
        columnHead(words("word.product")),
        columnHead(""),
      ),
    ),
    h(
      "tbody",
      {},
      shown.map((t) =>
        row(
          options.name ? options.name(t) : t.label,
          t.input,
          t.weight ?? t.dz,
          t.product,
          options.onpick ? { class: "pickable", onclick: () => options.onpick(t) } : {},
          options.onpick &&
            ((event) => {
              event.stopPropagation();
              options.onpick(t);
            }),
        ),
      ),
      rest.length
        ? row(
            words("others", { n: rest.length }),
            null,
            null,
            rest.reduce((s, t) => s + t.product, 0),
            { class: "rest" },
          )
        : null,
    ),
  );
}

// 0.53 + 0.02 = 0.55 → max(z, 0) = 0.55
export function sumLine(parts) {
  return h(
    "p.sum",
    {},
    parts.map(([sign, text, value, strong]) => [
      sign ? h("span.sign", {}, sign) : null,
      h(
        "span",
        { class: strong ? "quantity strong" : "quantity" },
        text ? h("small", {}, text) : null,
        h("b", { title: value === null ? null : exact(value) }, fmt(value)),
      ),
    ]),
  );
}

// What minicnn computed, and how far the page's sum is from it.
export function verdict(value, real, options = {}) {
  if (Number.isNaN(real) || real === null) {
    return options.without ? h("p.verdict", {}, options.without) : null;
  }
  const off = Math.abs(value - real);
  const near = off <= (options.tolerance ?? 1e-4) * Math.max(1, Math.abs(real));
  return h(
    "p.verdict",
    { "data-page": value, "data-model": real },
    h("span", { class: near ? "tick" : "tick off", "aria-hidden": "true" }, near ? "✓" : "≠"),
    ` ${options.says ?? words("minicnn_says")} `,
    h("b", { title: exact(real) }, fmt(real)),
    words("sum.difference"),
    h("b", {}, off === 0 ? "0" : power(off, 0)),
    options.rounded ? words("sum.rounded") : "",
  );
}

// A function's graph with a point on it.
export function curve(f, x, label, corners = []) {
  const reach = Math.max(2, ...[x, ...corners].map((v) => Math.abs(v) * 1.3));
  const n = 64;
  const width = 220;
  const height = 130;
  const values = Array.from({ length: n + 1 }, (_, i) => [
    -reach + (2 * reach * i) / n,
    f(-reach + (2 * reach * i) / n),
  ]);
  const low = Math.min(0, ...values.map((v) => v[1]));
  const high = Math.max(...values.map((v) => v[1]), low + 1e-9);
  const px = (v) => ((v + reach) / (2 * reach)) * (width - 20) + 10;
  const py = (v) => height - 12 - ((v - low) / (high - low)) * (height - 24);
  return h(
    "svg.curve",
    {
      viewBox: `0 0 ${width} ${height}`,
      width,
      height,
      role: "img",
      "aria-label": words("sum.graph", { what: label, x: fmt(x), y: fmt(f(x)) }),
    },
    h("line", { x1: 0, x2: width, y1: py(0), y2: py(0), class: "axis" }),
    h("line", { x1: px(0), x2: px(0), y1: 0, y2: height, class: "axis" }),
    h("polyline", {
      points: values.map(([a, b]) => `${px(a).toFixed(1)},${py(b).toFixed(1)}`).join(" "),
      class: "graph",
    }),
    h("line", { x1: px(x), x2: px(x), y1: py(0), y2: py(f(x)), class: "drop" }),
    h("circle", { cx: px(x), cy: py(f(x)), r: 5, class: "point" }),
  );
}
