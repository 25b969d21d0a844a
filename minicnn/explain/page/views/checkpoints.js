// @ts-check
// A slider over the checkpoints of a training: the whole page shows the network at that time.
import { h, screen_ } from "page/draw.js";
import { words } from "page/words.js";

export class Timeline {
  constructor(app) {
    this.app = app;
    const { checkpoints } = app.net;
    const last = checkpoints.length;
    this.name = h("output.checkpoint-name", {});
    this.label = h("span");
    this.slider = h("input", {
      type: "range",
      min: 0,
      max: last,
      step: 1,
      oninput: (e) => app.showCheckpoint(Number(e.target.value)),
    });
    // It stays while the page is redrawn, so that it can be dragged.
    this.group = h("section.checkpoints", {}, h("label", {}, this.label, this.slider), this.name);
    document.body.append(this.group);
    this.update();
  }

  update() {
    const { checkpoint, checkpoints } = this.app.net;
    const k = checkpoint ?? checkpoints.length;
    const half = checkpoints[k]?.half ? words("checkpoints.half") : "";
    const name = checkpoints[k] ? `${checkpoints[k].name}${half}` : words("checkpoints.itself");
    this.group.setAttribute("aria-label", words("checkpoints.all"));
    this.label.textContent = words("checkpoints.network_at");
    this.slider.setAttribute("aria-label", words("checkpoints.one"));
    this.slider.value = k;
    this.slider.setAttribute("aria-valuetext", name);
    this.name.textContent = words("checkpoints.name", {
      name,
      k: k + 1,
      n: checkpoints.length + 1,
    });
    screen_.bar = this.group.getBoundingClientRect().height;
    document.documentElement.style.setProperty("--bar", `${screen_.bar}px`);
  }
}
