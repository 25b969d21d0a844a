// @ts-check
// A picture that the reader draws, with a pointer or with keys.
import { openDialog } from "page/dialogs.js";
import { h, penOf } from "page/draw.js";
import { addPicture, notice } from "page/photos/arriving.js";
import { pixelsOf } from "page/photos/read.js";
import { words } from "page/words.js";

const SIZE = 280;
const STEP = 8; // pixels that an arrow key moves the pen

export function drawPicture(app) {
  const shape = app.net.nodes[0].shape.slice(0, 2);
  const canvas = /** @type {HTMLCanvasElement} */ (
    h("canvas.drawing", {
      width: SIZE,
      height: SIZE,
      tabindex: 0,
      role: "application",
      "aria-label": words("draw.canvas"),
    })
  );
  const choice = (label, type, value, more = {}) => {
    const input = /** @type {HTMLInputElement} */ (h("input", { type, value, ...more }));
    return [h("label", {}, `${label} `, input), input];
  };
  const [inkLabel, ink] = choice(words("draw.pen"), "color", "#202020");
  const [paperLabel, paper] = choice(words("draw.paper"), "color", "#ffffff");
  const [widthLabel, width] = choice(words("draw.width"), "range", 0, { min: 2, max: 60 });
  // Wide enough for what the network sees: it takes only some of the pixels, unsmoothed.
  width.value = String(Math.max(10, Math.round((1.5 * SIZE) / Math.min(...shape))));
  const g = penOf(canvas);
  const clear = () => {
    g.fillStyle = paper.value;
    g.fillRect(0, 0, SIZE, SIZE);
  };
  clear();
  paper.addEventListener("change", clear);
  const pen = new Pen(canvas, () => ({ colour: ink.value, width: Number(width.value) }));
  const button = (kind, text, onclick) => h(`button.${kind}`, { type: "button", onclick }, text);
  const dialog = openDialog(
    app,
    h(
      "dialog.help.adding",
      { "aria-label": words("draw.title") },
      h("h2", {}, words("draw.title")),
      canvas,
      pen.status,
      h("div.pickers", {}, inkLabel, paperLabel, widthLabel),
      h(
        "form",
        { method: "dialog" },
        button("quiet", words("draw.clear"), clear),
        button("primary", words("draw.look"), async () => {
          dialog.close();
          try {
            await addPicture(app, words("draw.name"), pixelsOf(canvas, SIZE, SIZE));
          } catch (error) {
            notice(app, error.message);
          }
        }),
        h("button.quiet", {}, words("close")),
      ),
    ),
    "add-photo",
  );
  canvas.focus();
}

// Draws lines on a canvas, as a pointer or keys say; `style` gives their colour and width.
class Pen {
  constructor(canvas, style) {
    this.canvas = canvas;
    this.style = style;
    this.at = [SIZE / 2, SIZE / 2];
    this.down = false; // for the keys
    this.status = h("p.note", { role: "status" }, "");
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.at = this.placeOf(event);
      this.lineTo(this.at);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (event.buttons & 1) this.lineTo(this.placeOf(event));
    });
    canvas.addEventListener("keydown", (event) => this.onKey(event));
    this.tell();
  }

  placeOf(event) {
    const box = this.canvas.getBoundingClientRect();
    const scale = SIZE / box.width;
    return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
  }

  lineTo(to) {
    const g = penOf(this.canvas);
    const { colour, width } = this.style();
    Object.assign(g, { strokeStyle: colour, lineWidth: width, lineCap: "round" });
    g.beginPath();
    g.moveTo(this.at[0], this.at[1]);
    g.lineTo(to[0], to[1]);
    g.stroke();
    this.at = to;
  }

  onKey(event) {
    const by = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] }[
      event.key
    ];
    if (event.key !== " " && !by) return;
    event.preventDefault();
    event.stopPropagation();
    if (!by) {
      this.down = !this.down;
      if (this.down) this.lineTo(this.at);
    } else {
      const to = this.at.map((v, axis) => Math.max(0, Math.min(SIZE, v + STEP * by[axis])));
      if (this.down) this.lineTo(to);
      this.at = to;
    }
    this.tell();
  }

  tell() {
    const [x, y] = this.at.map(Math.round);
    this.status.textContent = words(this.down ? "draw.down" : "draw.up", { x, y });
  }
}
