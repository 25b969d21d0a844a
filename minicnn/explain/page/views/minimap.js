// @ts-check
// The whole network in one line below what scrolls: it shows which part is in sight, and goes to
// any other.
import { h } from "page/draw.js";
import { words } from "page/words.js";

const HEIGHT = 22;

export function minimap(items, plan, scroller) {
  const all = plan.columns * plan.stepX;
  const each = HEIGHT / plan.lanes;
  const marks = items.map((item) =>
    h("span.minimap-layer", {
      class: `minimap-layer${item.collapsed ? " collapsed" : ""}`,
      style: {
        left: `${(100 * item.column) / plan.columns}%`,
        width: `${(100 * plan.wide) / all}%`,
        top: `${item.lane * each}px`,
        height: `${Math.max(1, each - 1)}px`,
      },
    }),
  );
  const sight = h("span.minimap-sight");
  const status = h("span.minimap-status");
  const track = h("div.minimap-track", { style: { height: `${HEIGHT}px` } }, marks, sight);
  const update = () => {
    const whole = scroller.scrollWidth;
    const from = scroller.scrollLeft;
    const to = from + scroller.clientWidth;
    sight.style.left = `${(100 * from) / whole}%`;
    sight.style.width = `${(100 * (to - from)) / whole}%`;
    const inSight = (column) =>
      column * plan.stepX + plan.wide / 2 >= from && column * plan.stepX + plan.wide / 2 <= to;
    const seen = [...Array(plan.columns).keys()].filter(inSight);
    const after = plan.columns - 1 - (seen.at(-1) ?? 0);
    const before = seen[0] ?? 0;
    const more = [
      before ? words("map.before", { n: before }) : "",
      after ? words("map.after", { n: after }) : "",
    ];
    status.textContent = more.filter(Boolean).join(" · ");
  };
  const go = (event) => {
    const box = track.getBoundingClientRect();
    const share = (event.clientX - box.left) / box.width;
    scroller.scrollLeft = share * scroller.scrollWidth - scroller.clientWidth / 2;
  };
  track.addEventListener("pointerdown", (event) => {
    track.setPointerCapture(event.pointerId);
    go(event);
  });
  track.addEventListener("pointermove", (event) => event.buttons & 1 && go(event));
  scroller.addEventListener("scroll", update);
  setTimeout(update); // when the page has its layout
  // The network itself scrolls with the keys; this is for the eye and the mouse.
  return h("div.minimap", { "aria-hidden": "true" }, track, status);
}
