// @ts-check
// Where the colours of a map end: at nearly the largest number of its layer, of the map itself, or
// of all layers.
import { fmt, h, legendOfEach, topOf } from "page/draw.js";
import { topFor } from "page/views/pictures.js";
import { words } from "page/words.js";

export const SCALES = ["layer", "map", "all"];

// What is chosen, and the end for all layers.
const scale = { kind: "layer", top: 1 };

const mapTops = new WeakMap(); // an array's numbers → the ends of its maps

// The numbers of one map.
export function mapNumbers(a, channel) {
  const maps = a.shape[2];
  return Float32Array.from({ length: a.data.length / maps }, (_, i) => a.data[i * maps + channel]);
}

function mapTop(a, channel) {
  if (!mapTops.has(a.data)) mapTops.set(a.data, []);
  return (mapTops.get(a.data)[channel] ??= topOf(mapNumbers(a, channel)));
}

const isOfMap = (a, channel) =>
  scale.kind === "map" && a.shape.length === 3 && channel !== null && channel >= 0;

export function scaleFor(a, channel = null) {
  if (scale.kind === "all") return scale.top;
  return isOfMap(a, channel) ? mapTop(a, channel) : topFor(a);
}

// Whose numbers the legend beside a map is about: [numbers, words].
export function scaledNumbers(a, channel) {
  if (isOfMap(a, channel)) return [mapNumbers(a, channel), words("scale.this_map")];
  return [a.data, a.shape.length === 3 && a.shape[2] > 1 ? words("scale.all_maps") : ""];
}

// The photo's pixels do not count for the scale of all layers: no layer has numbers like them.
export function chooseScale(app, kind = scale.kind) {
  const { net, state } = app;
  scale.kind = kind;
  if (kind !== "all") return;
  const shown = (id) => (state.mode === "backward" ? net.dy(id) : net.y(id));
  const known = net.nodes.slice(1).map(({ id }) => shown(id));
  scale.top = Math.max(1e-12, ...known.filter(Boolean).map(topFor));
}

export function scaleChooser(app) {
  const select = h(
    "select",
    {
      "aria-label": words("scale.title"),
      "data-focus": "scale",
      value: scale.kind,
      onchange: (event) => {
        chooseScale(app, event.target.value);
        app.render();
      },
    },
    SCALES.map((kind) =>
      h(
        "option",
        { value: kind, selected: kind === scale.kind ? true : null },
        words(`scale.${kind}`),
      ),
    ),
  );
  return h("label.scale", {}, words("scale.colours"), select);
}

// The legend of the whole network.
export function legendOfNetwork(app) {
  const end = scale.kind === "all" ? fmt(scale.top) : "";
  const what = words("scale.within");
  return h("div.scales", {}, scaleChooser(app), legendOfEach(what, [`−${end}`, `+${end}`]));
}

// The end of a card's scale, in a few characters.
export const endText = (a) => (scale.kind === "layer" ? `±${fmt(topFor(a))}` : "");
