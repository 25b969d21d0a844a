// @ts-check
// The bench for the gradient of one number of a layer's input.
import { fmt, h } from "page/draw.js";
import { offsetOf } from "page/engine/arrays.js";
import { activationOf } from "page/engine/functions.js";
import { explainInput } from "page/explain/numbers.js";
import { arithmetic } from "page/views/forms.js";
import { channelAmong, sourceOf } from "page/views/forward.js";
import { layout } from "page/views/pictures.js";
import { boxAround, cellMark, inputChooser, side } from "page/views/side.js";
import { placeText } from "page/views/spots.js";
import { follow } from "page/views/sums.js";
import { words } from "page/words.js";

export function backwardNumber(app) {
  const { net, state } = app;
  const id = state.node;
  const node = net.nodes[id];
  const source = sourceOf(net, id, state.which);
  const dx = net.dy(source);
  const dz = net.dz(id);
  if (!dx || !dz || !net.y(source)) {
    const why = net.gradientReason(source) || net.gradientReason(id) || net.reason(source);
    return h("p.void.wide", {}, why);
  }
  const partial = Object.values(node.params).some((p) => p.kept);
  const found = partial || !node.known ? null : explainInput(net, id, state.inAt, state.which);
  const channel = channelSentFrom(state, found, layout(dz.shape));
  const why = node.known ? words("back.all_needed", { why: net.obstacle(id) }) : net.obstacle(id);
  return [
    inputGradient(app, source, dx),
    h(
      "div.arithmetic",
      { "data-form": found?.form ?? "none" },
      found ? [arithmetic(app, found, channel), follow(app, found)] : h("p.void", {}, why),
    ),
    outputGradient(app, found, dx, dz, channel),
  ];
}

// Which map of the output's gradient to show.
function channelSentFrom(state, found, out) {
  if (found?.form === "window" && !found.hidden) {
    state.outChannel = channelAmong(found.groups, state.outChannel);
    return state.outChannel;
  }
  if (!out.map) return state.outChannel;
  if (found?.form === "copy") return found.from[0]?.at[2] ?? 0;
  return Math.min(state.inAt.at(-1), out.channels - 1);
}

// The marks on the output's gradient: the cells that are computed from this number.
function outputMarks(found, dx, dz, at) {
  const out = layout(dz.shape);
  if (found?.w || found?.grid || found?.pooled) {
    const groups = found.line ? found.groups : found.groups?.slice(0, 1); // a line has all channels
    const taps = found.pooled
      ? found.terms
      : groups.flatMap((g) => g.taps.filter((t) => !t.padded));
    return taps.length ? [boxAround(taps)] : [];
  }
  if (found?.form === "copy") {
    return found.from.map((f) => {
      const [row, column] = out.place(f.at);
      return cellMark(row, column);
    });
  }
  if (found?.form === "steps" && out.map && dz.shape[0] === dx.shape[0]) {
    const [row, column] = layout(dx.shape).place(at);
    return [cellMark(row, column)];
  }
  return [];
}

function inputGradient(app, source, dx) {
  const { net, state } = app;
  const at = state.inAt;
  const where = placeText(at, net.unitWord(source));
  const value = fmt(dx.data[offsetOf(dx.shape, at)]);
  const [row, column] = layout(dx.shape).place(at);
  const name = net.nodes[state.node].name;
  return side(app, {
    caption: `dL/d ${net.nodes[source].name}`,
    note: where,
    id: source,
    a: dx,
    channel: at[2] ?? 0,
    marks: [cellMark(row, column)],
    at,
    onmove: (to) => app.moveTo(to),
    focus: "out",
    label: words("back.input", { name, where, value }),
    chooser: inputChooser(app, 1, 0, null),
  });
}

// Whether z, the sum, is not yet the layer's output.
const hasActivation = (layer) => layer.type !== "ReLU" && activationOf(layer) !== "linear";

function outputGradient(app, found, dx, dz, channel) {
  const { net, state } = app;
  const id = state.node;
  const { name, params } = net.nodes[id];
  const out = layout(dz.shape);
  const bends = hasActivation(net.layer(id));
  const map = out.map ? words(bends ? "back.map" : "word.map_k", { k: channel }) : "";
  return side(app, {
    caption: bends || Object.keys(params).length ? words("back.dz", { name }) : `dL/d ${name}`,
    note: bends ? words("back.before", { map }) : map,
    id,
    a: dz,
    channel: channel ?? 0,
    marks: outputMarks(found, dx, dz, state.inAt),
    label: words("back.output", { name }),
    chooser:
      found?.form === "window" && out.channels > 1
        ? h("div.chooser", {}, filterStepper(app, channel, out.channels))
        : null,
  });
}

function filterStepper(app, channel, n) {
  const step = (by, label, key, text) =>
    h(
      "button",
      {
        "aria-label": label,
        "data-focus": key,
        onclick: () => app.set({ outChannel: (channel + by + n) % n }),
      },
      text,
    );
  return h(
    "span.stepper",
    {},
    step(-1, words("map.previous"), "f-", "‹"),
    h("span", {}, words("map.of", { k: channel, n })),
    step(1, words("map.next"), "f+", "›"),
  );
}
