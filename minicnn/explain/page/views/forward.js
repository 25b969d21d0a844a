// @ts-check
// The bench for one number of the output: the input, the sum, the output.
import { fmt, h, shapeText } from "page/draw.js";
import { offsetOf, unravel } from "page/engine/arrays.js";
import { place } from "page/engine/windows.js";
import { explain, missing } from "page/explain/numbers.js";
import { untilDone } from "page/hints.js";
import { arithmetic } from "page/views/forms.js";
import { photoOnly } from "page/views/photo.js";
import { layout, mapName } from "page/views/pictures.js";
import { boxAround, cellMark, inputChooser, outerPad, side, windowMarks } from "page/views/side.js";
import { placeText } from "page/views/spots.js";
import { follow } from "page/views/sums.js";
import { words } from "page/words.js";

export function forwardNumber(app) {
  const { net, state } = app;
  const id = state.node;
  const y = net.y(id);
  if (id === 0) return photoOnly(app);
  if (!y) return h("p.void.wide", {}, net.reason(id));
  const at = state.at;
  const node = net.nodes[id];
  const why = missing(net, id, at);
  const found = why ? null : explain(net, id, at);
  // A number of a concatenation comes from only one input.
  const only = found?.form === "copy" && !found.sum && node.inputs.length > 1;
  const which = only ? found.from[0].input : state.which;
  const channel = channelBehind(app, found, which);
  return [
    inputOf(app, found, { which, channel, only }),
    h(
      "div.arithmetic",
      { "data-form": found?.form ?? "none" },
      why ? h("p.void", {}, why) : [arithmetic(app, found, channel), follow(app, found)],
      id === net.output && !net.kind ? backwardFromHere(app, y) : null,
    ),
    outputOf(app, y),
  ];
}

const ofChannels = (found) => found?.form === "window" || found?.form === "separable";

export const sourceOf = (net, id, which) => net.nodes[id].inputs[which] ?? net.nodes[id].inputs[0];

// The group with the largest sum.
const strongestGroup = (groups) =>
  groups.reduce((a, b) => (Math.abs(b.scaled ?? b.sum) > Math.abs(a.scaled ?? a.sum) ? b : a));

// The chosen channel if it is among the groups, otherwise the one that matters most.
export const channelAmong = (groups, chosen) =>
  groups.some((g) => g.channel === chosen) ? chosen : strongestGroup(groups).channel;

// Which channel of the input to show beside the number.
function channelBehind(app, found, which) {
  const { net, state } = app;
  const x = net.y(sourceOf(net, state.node, which));
  if (ofChannels(found)) {
    state.inChannel = channelAmong(found.groups, state.inChannel);
    return state.inChannel;
  }
  const own = ["pool", "global", "steps", "curve", "copy"];
  const free = found && state.inChannel !== null && !own.includes(found.form);
  if (x?.shape.length !== 3 || free) return state.inChannel;
  if (found?.form === "copy") return found.from.find((f) => f.input === which)?.at[2] ?? 0;
  return Math.min(state.at.at(-1), x.shape[2] - 1);
}

// The marks on the input: the window, and the cells that the number is computed from.
function inputMarks(found, x, which, at, term) {
  if (!found) return [];
  const cell = (place_) => {
    const [row, column] = layout(x.shape).place(place_);
    return cellMark(row, column);
  };
  if (found.w) {
    const winner = found.taps?.find((t) => t.won);
    const marks = windowMarks(found.w, at[0], at[1]);
    return winner ? [...marks, cellMark(winner.row, winner.col)] : marks;
  }
  if (found.grid) {
    const taps = found.taps ?? found.groups.flatMap((g) => g.taps);
    const real = taps.filter((t) => !t.padded);
    return real.length ? [boxAround(real)] : [];
  }
  if (found.form === "global" && found.winner) {
    return [cellMark(found.winner.row, found.winner.col)];
  }
  if (found.form === "copy") {
    return found.from.filter((f) => f.input === which).map((f) => cell(f.at));
  }
  if (["steps", "curve", "softmax"].includes(found.form)) return [cell(at)];
  return found.form === "terms" && term !== null ? [cell(unravel(x.shape, term))] : [];
}

function inputNote(net, source, x, channel) {
  if (!x) return "";
  if (x.shape.length !== 3 || x.shape[2] === 1) return shapeText(x.shape);
  return `${shapeText(x.shape)}, ${mapName(net, source, channel)}`;
}

function inputOf(app, found, { which, channel, only }) {
  const { net, state } = app;
  const at = state.at;
  const source = sourceOf(net, state.node, which);
  const x = net.y(source);
  const w = found?.w;
  const starts = w
    ? words("forward.starts", { row: place(w, 0, at[0], 0), column: place(w, 1, at[1], 0) })
    : "";
  const choose = ofChannels(found) ? (k) => app.set({ inChannel: k }) : null;
  const channels = x?.shape.length === 3 ? x.shape[2] : 1;
  return side(app, {
    caption: words("in", { name: net.nodes[source].name }),
    note: inputNote(net, source, x, channel),
    id: source,
    a: x,
    channel: channel ?? 0,
    marks: inputMarks(found, x, which, at, state.term),
    pad: w ? outerPad(w, x.shape) : undefined,
    label: words("forward.input", { name: net.nodes[state.node].name, starts }),
    chooser: only ? null : inputChooser(app, channels, channel, choose),
  });
}

function outputOf(app, y) {
  const { net, state } = app;
  const { node: id, at } = state;
  const where = placeText(at, net.unitWord(id));
  const value = fmt(y.data[offsetOf(y.shape, at)]);
  const [row, column] = layout(y.shape).place(at);
  return side(app, {
    caption: words("out", { name: net.nodes[id].name }),
    note: [where, untilDone("move", words("forward.move"))].filter(Boolean).join("; "),
    id,
    a: y,
    channel: at[2] ?? 0,
    marks: [cellMark(row, column)],
    at,
    onmove: (to) => app.moveTo(to),
    focus: "out",
    label: words("forward.output", { name: net.nodes[id].name, where, value }),
  });
}

// In a model without classes backward can start from any number of the output.
function backwardFromHere(app, y) {
  const { net, state } = app;
  const blocked = net.obstacleToAnother;
  return [
    h(
      "button.quiet.follow",
      {
        "data-focus": "choose",
        disabled: Boolean(blocked),
        onclick: () => app.setTarget(offsetOf(y.shape, state.at), "backward"),
      },
      words("forward.backward"),
    ),
    blocked ? h("p.note", {}, words("forward.all_needed", { why: blocked })) : null,
  ];
}
