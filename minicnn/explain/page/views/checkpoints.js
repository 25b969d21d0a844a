// @ts-check
// A slider over the checkpoints of a training: the whole page shows the network at that time.
import { h } from "page/draw.js";

export class Timeline {
  constructor(app) {
    this.app = app;
    const { checkpoints } = app.net;
    const last = checkpoints.length;
    this.name = h("output.checkpoint-name", {});
    this.slider = h("input", {
      type: "range",
      min: 0,
      max: last,
      step: 1,
      "aria-label": "Checkpoint",
      oninput: (e) => app.showCheckpoint(Number(e.target.value)),
    });
    // It stays while the page is redrawn, so that it can be dragged.
    document.body.append(
      h(
        "div.checkpoints",
        { role: "group", "aria-label": "Checkpoints of the training" },
        h("label", {}, "The network at ", this.slider),
        this.name,
      ),
    );
    this.update();
  }

  update() {
    const { checkpoint, checkpoints } = this.app.net;
    const k = checkpoint ?? checkpoints.length;
    const half = checkpoints[k]?.half ? ", its weights with 11 bits" : "";
    const name = checkpoints[k] ? `${checkpoints[k].name}${half}` : "the model itself";
    this.slider.value = k;
    this.slider.setAttribute("aria-valuetext", name);
    this.name.textContent = `${name} (${k + 1} of ${checkpoints.length + 1})`;
  }
}
