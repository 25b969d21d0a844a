// @ts-check
// What if: change a weight, bias, stride, padding or pixel, and see the effect.
import { mapView } from "page/cells.js";
import { COLOURS, fmt, h, legend, mapPicture, vectorPicture, vectorShape } from "page/draw.js";
import { offsetOf } from "page/engine/arrays.js";
import { classBars } from "page/views/outcome.js";
import { isPhoto, layout, mapName, topFor } from "page/views/pictures.js";
import { cellMark, halfSize, side } from "page/views/side.js";
import { pixelText, placeText, sameSpot, startPixel } from "page/views/spots.js";
import { words } from "page/words.js";

const PRESETS = {
  zeros: () => 0,
  blur: (i, j, kh, kw) => 1 / (kh * kw),
  vertical_edge: (i, j, kh, kw) => Math.sign(j - (kw - 1) / 2) / kh,
  horizontal_edge: (i, j, kh) => Math.sign(i - (kh - 1) / 2) / kh,
  centre: (i, j, kh, kw) => (i === kh >> 1 && j === kw >> 1 ? 1 : 0),
};

// Whether a preset means something for a kernel of this size.
const fits = (preset, kh, kw) =>
  preset === "blur"
    ? kh * kw > 1
    : preset === "vertical_edge"
      ? kw > 1
      : preset !== "horizontal_edge" || kh > 1;

export function whatIf(app) {
  const { net, state } = app;
  const id = state.node;
  const source = net.nodes[id].inputs[0];
  const x = id ? net.y(source) : null;
  if (!x) return h("p.void.wide", {}, words("whatif.next_for_pixels"));
  const stop = net.barrier(id) || net.barrier(source, false);
  const pixel =
    state.pixel?.node === source
      ? state.pixel.at
      : startPixel(net, id, state.at, x, state.inChannel);
  return [
    inputSide(app, source, x, pixel),
    h(
      "div.arithmetic.whatif",
      { "data-form": "whatif" },
      stop ? h("p.reason.wide", {}, words("whatif.stops", { why: stop })) : null,
      kernelEditor(app),
      channelEditors(app),
      windowEditor(app),
      pixelEditor(app, source, x, pixel),
      net.changed
        ? h(
            "button.primary",
            { "data-focus": "reset", onclick: () => app.resetChanges() },
            words("whatif.reset"),
          )
        : h("p.note", {}, words("whatif.change")),
    ),
    h(
      "div.results",
      {},
      beforeAndNow(app),
      h("h3", {}, words("whatif.classes")),
      classesNow(net, stop),
    ),
  ];
}

// -- editors --------------------------------------------------------------------------------------

// A field for a number of any size; `apply` gets what the user typed, if it is a number.
const numberInput = (value, label, key, apply, wide = false) =>
  h("input.what", {
    type: "number",
    step: "any",
    value: +(+value).toPrecision(4),
    "aria-label": label,
    "data-focus": key,
    class: wide ? "what wide" : "what",
    onchange: (e) => {
      const v = Number(e.target.value);
      if (Number.isFinite(v) && e.target.value !== "") apply(v);
    },
  });

// A field for a whole number from 0 to n - 1.
export const indexInput = (value, n, label, key, apply) =>
  h("input", {
    type: "number",
    min: 0,
    max: n - 1,
    value,
    "data-focus": key,
    "aria-label": label,
    onchange: (e) => apply(Math.max(0, Math.min(n - 1, Math.round(Number(e.target.value)) || 0))),
  });

export const optionsOf = (values, chosen) =>
  values.map((v) => h("option", { value: v, selected: v === chosen ? true : null }, v));

function kernelEditor(app) {
  const { net, state } = app;
  const id = state.node;
  const { type, params } = net.layer(id);
  const name = ["kernel", "depthwise_kernel"].find((key) => params[key]);
  if (!name) return null;
  const { shape } = params[name];
  const p = { ...params[name], shape: shape.length === 3 ? [1, ...shape] : shape }; // of a line
  const last = ["Conv1D", "Conv2D", "Dense"].includes(type) ? state.at.at(-1) : 0;
  const column = p.kept ? p.kept.indexOf(last) : last;
  if (column < 0) {
    return h("p.void", {}, words(`whatif.${net.unitWord(id)}_left_out`));
  }
  return p.shape.length === 4
    ? tapsEditor(app, name, p, column)
    : weightEditor(app, p, column, last);
}

// One channel of a convolution's kernel, as a grid of input fields.
function tapsEditor(app, name, p, column) {
  const { net, state } = app;
  const id = state.node;
  const [kh, kw] = p.shape;
  const { type } = net.nodes[id];
  const transposed = type.endsWith("Transpose"); // [row, column, map, channel]
  const channels = p.shape[transposed ? 3 : 2];
  const n = p.kept ? p.kept.length : p.shape.at(-1);
  const c = Math.min(state.inChannel ?? 0, channels - 1);
  const [third, fourth] = transposed ? [state.at.at(-1), c] : [c, column];
  const source = words("whatif.from", { name: mapName(net, net.nodes[id].inputs[0], c) });
  const offset = (i, j) => ((i * kw + j) * p.shape[2] + third) * n + fourth;
  const whose =
    transposed || ["Conv1D", "Conv2D"].includes(type)
      ? words("whatif.to", { k: state.at.at(-1) })
      : "";
  const tap = (t) => {
    const [i, j] = [Math.floor(t / kw), t % kw];
    const apply = (v) =>
      app.changeParam(id, name, (data) => {
        data[offset(i, j)] = v;
      });
    return numberInput(p.data[offset(i, j)], words("whatif.weight_ij", { i, j }), `k-${t}`, apply);
  };
  const fill = (f) =>
    app.changeParam(id, name, (data) => {
      for (let i = 0; i < kh; i++) {
        for (let j = 0; j < kw; j++) data[offset(i, j)] = f(i, j, kh, kw);
      }
    });
  const chooseChannel = (k) => app.set({ inChannel: k });
  return h(
    "fieldset",
    {},
    h("legend", {}, `${name}: ${source}${whose}`),
    channels > 1
      ? h(
          "label",
          {},
          words("whatif.from_map"),
          indexInput(c, channels, words("whatif.reads"), "wc", chooseChannel),
        )
      : null,
    h(
      "div.edit",
      { style: { gridTemplateColumns: `repeat(${kw}, 1fr)` } },
      Array.from({ length: kh * kw }, (_, t) => tap(t)),
    ),
    h(
      "div.presets",
      {},
      Object.entries(PRESETS)
        .filter(([preset]) => fits(preset, kh, kw))
        .map(([preset, f]) =>
          h(
            "button.quiet",
            { "data-focus": `preset-${preset}`, onclick: () => fill(f) },
            words(`whatif.preset.${preset}`),
          ),
        ),
    ),
  );
}

// A field for one weight of a dense layer.
function weightEditor(app, p, column, unit) {
  const id = app.state.node;
  const n = p.kept ? p.kept.length : p.shape.at(-1);
  const k = Math.min(app.state.term ?? 0, p.shape[0] - 1);
  const apply = (v) =>
    app.changeParam(id, "kernel", (data) => {
      data[k * n + column] = v;
    });
  return h(
    "fieldset",
    {},
    h("legend", {}, words("whatif.dense", { k, unit })),
    h(
      "label",
      {},
      words("whatif.feature_is"),
      indexInput(k, p.shape[0], words("whatif.feature"), "wf", (v) => app.set({ term: v })),
    ),
    h(
      "label",
      {},
      words("whatif.weight_is"),
      numberInput(p.data[k * n + column], words("word.weight"), "k-0", apply, true),
    ),
  );
}

// Weights that each map or unit has one of.
function channelEditors(app) {
  const { net, state } = app;
  const id = state.node;
  const { params } = net.layer(id);
  const k = state.at.at(-1);
  const editor = (name) => {
    const apply = (v) =>
      app.changeParam(id, name, (data) => {
        data[k] = v;
      });
    return h(
      "fieldset",
      {},
      h("legend", {}, `${name}: ${words(`word.${net.unitWord(id)}_k`, { k })}`),
      numberInput(params[name].data[k], name, `p-${name}`, apply, true),
    );
  };
  return ["bias", "gamma", "beta"].filter((name) => params[name]).map(editor);
}

function windowEditor(app) {
  const id = app.state.node;
  const c = app.net.layer(id).config;
  if (!c.strides && !c.pool_size) return null;
  const stride = (c.strides ?? c.pool_size)[0];
  const strides = [...new Set([1, 2, 3, 4, stride])].sort();
  return h(
    "fieldset",
    {},
    h("legend", {}, words("whatif.window")),
    h(
      "label",
      {},
      words("whatif.stride_is"),
      h(
        "select",
        {
          "aria-label": words("whatif.stride"),
          "data-focus": "stride",
          disabled: c.dilation_rate && Math.max(...c.dilation_rate) > 1,
          value: stride,
          onchange: (e) =>
            app.changeConfig(id, { strides: [Number(e.target.value), Number(e.target.value)] }),
        },
        optionsOf(strides, stride),
      ),
    ),
    h(
      "label",
      {},
      words("whatif.padding_is"),
      h(
        "select",
        {
          "aria-label": words("whatif.padding"),
          "data-focus": "padding",
          value: c.padding,
          onchange: (e) => app.changeConfig(id, { padding: e.target.value }),
        },
        optionsOf(
          c.padding === "causal" ? ["valid", "same", "causal"] : ["valid", "same"],
          c.padding,
        ),
      ),
    ),
  );
}

const cellWord = (net, source, x) =>
  source === 0 ? "pixel" : x.shape.length === 3 ? "cell" : net.unitWord(source);

function pixelEditor(app, source, x, pixel) {
  const { net } = app;
  const inner = layout(x.shape);
  const all = source === 0 || inner.channels <= 4;
  const channels = all ? [...Array(x.shape.at(-1)).keys()] : [pixel.at(-1)];
  const several = inner.map && channels.length > 1;
  const where = several ? pixelText(pixel) : placeText(pixel);
  const colours = source === 0 && x.shape[2] === 3 ? COLOURS.map((c) => words(`word.${c}`)) : [];
  const field = (k) => {
    const at = inner.map ? [pixel[0], pixel[1], k] : pixel;
    const offset = offsetOf(x.shape, at);
    const label = inner.map
      ? `${words(`word.${cellWord(net, source, x)}`)}: ${colours[k] ?? words("word.map_k", { k })}`
      : words("whatif.value_of", { place: placeText(pixel, net.unitWord(source)) });
    return h(
      "label",
      {},
      inner.map ? `${colours[k] ?? words("word.map_k", { k })} ` : "",
      numberInput(x.data[offset], label, `px-${k}`, (v) => app.changeCell(source, offset, v), true),
    );
  };
  return h(
    "fieldset",
    {},
    h(
      "legend",
      {},
      words("whatif.cell_of", {
        what: words(`word.${cellWord(net, source, x)}`),
        name: net.nodes[source].name,
        where,
      }),
    ),
    (inner.map ? channels : [0]).map(field),
  );
}

// -- the input and the effect ---------------------------------------------------------------------

function inputSide(app, source, x, pixel) {
  const { net, state } = app;
  const [row, column] = layout(x.shape).place(pixel);
  const where = placeText(pixel, net.unitWord(source));
  return side(app, {
    caption: words("in", { name: net.nodes[source].name }),
    note: words(`whatif.click_${cellWord(net, source, x)}`),
    id: source,
    a: x,
    channel: isPhoto(net, source) ? -1 : Math.min(pixel[2] ?? 0, layout(x.shape).channels - 1),
    marks: [cellMark(row, column)],
    at: pixel,
    onmove: (to) => app.set({ pixel: { node: source, at: to } }),
    focus: "pixel",
    label: words("input_moves", { name: net.nodes[state.node].name, where }),
  });
}

function beforeAndNow(app) {
  const { net, state } = app;
  const id = state.node;
  const before = net.original(id);
  const after = net.y(id);
  const caption = h("figcaption", {}, words("whatif.before_now"));
  if (!after) return h("figure.side", {}, caption, h("p.void", {}, net.reason(id)));
  const top = topFor(before ?? after);
  const channel = state.at.at(-1);
  return h(
    "figure.side",
    {},
    caption,
    h(
      "div.pair",
      {},
      before && smallMap(before, channel, top, words("whatif.before")),
      smallMap(
        after,
        channel,
        top,
        before === after ? words("whatif.before") : words("whatif.now"),
      ),
    ),
    before ? legend(top, after.data, words("whatif.now_is")) : null,
    numberBeforeAndNow(net, id, state.at, before, after),
  );
}

function smallMap(a, channel, top, label) {
  const map = a.shape.length === 3;
  const [height, width] = map ? a.shape : vectorShape(a.data.length);
  const drawn = map
    ? mapPicture(a, Math.min(channel, a.shape[2] - 1), top)
    : vectorPicture(a.data, top);
  return mapView({ picture: drawn, height, width, size: halfSize(), label, marks: [] });
}

// If the layer has another size now, the text also names the corresponding place before.
function numberBeforeAndNow(net, id, at, before, after) {
  const word = net.unitWord(id);
  const then = before && sameSpot(at, after.shape, before.shape);
  const moved = then && String(then) !== String(at);
  return h(
    "p.note",
    {},
    `${placeText(moved ? then : at, word)}: `,
    h("b", {}, fmt(then && before.data[offsetOf(before.shape, then)])),
    " → ",
    moved ? `${placeText(at, word)}: ` : "",
    h("b", {}, fmt(after.data[offsetOf(after.shape, at)])),
  );
}

function classesNow(net, stop) {
  if (!stop) return classBars(net, 10, true);
  return h(
    "div.off",
    { "aria-disabled": "true" },
    net.changed ? null : classBars(net, 10, true),
    h(
      "p.note",
      {},
      net.changed ? words("whatif.no_classes", { why: stop }) : words("whatif.unchanged"),
    ),
  );
}
