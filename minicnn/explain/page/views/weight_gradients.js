// @ts-check
// The bench for the gradient of one weight: the input, the sum over all places, the gradient of the
// output.
import { numberGrid, sumLine, termTable, verdict } from "page/cells.js";
import { h, screen_, unitFor } from "page/draw.js";
import { size, unravel } from "page/engine/arrays.js";
import { explainWeight } from "page/explain/weights.js";
import { mapName } from "page/views/pictures.js";
import { cellMark, side } from "page/views/side.js";
import { indexInput, optionsOf } from "page/views/whatif.js";
import { words } from "page/words.js";

export function weightGradients(app) {
  const { net, state } = app;
  const id = state.node;
  const node = net.nodes[id];
  const names = Object.keys(node.params).filter((n) => !n.startsWith("moving_"));
  const name = names.includes(state.weight?.name) ? state.weight.name : names[0];
  const p = net.param(id, name);
  const dz = net.dz(id);
  const x = net.inputs(id)[0];
  if (!dz || !x || !p) {
    return h("p.void.wide", {}, net.gradientReason(id) || net.reason(node.inputs[0]));
  }
  const at = entryOf(state.weight, name, p.shape, net.pass(id)?.grads[name]?.data);
  const found = explainWeight(net, id, name, at);
  const head = pickers(app, names, name, p.shape, at, dz);
  if (!found) {
    const why = words("grads.only_some");
    return h("div.arithmetic.wide", {}, head, h("p.void", {}, why));
  }
  const maps = dz.shape.length === 3;
  const best = [...found.terms].sort((a, b) => Math.abs(b.product) - Math.abs(a.product))[0];
  const ofOnes = name === "bias" || name === "beta";
  const inChannel = inputChannel(net, id, name, at, x);
  const outUnit = outputUnit(node, name, at, p.shape);
  return [
    side(app, {
      caption: words("in", { name: net.nodes[node.inputs[0]].name }),
      note: x.shape.length === 3 ? mapName(net, node.inputs[0], inChannel) : "",
      id: node.inputs[0],
      a: x,
      channel: inChannel,
      marks: best && maps && !ofOnes ? [cellMark(best.xrow, best.xcol)] : [],
      label: words("grads.input"),
    }),
    h(
      "div.arithmetic",
      { "data-form": "weight" },
      h("h3", {}, words("grads.how", { name, at: at.join(", ") })),
      head,
      kernelGradient(app, name, p.shape, at),
      termTable(found.terms, {
        heads: ofOnes ? ["1", "dL/dz"] : [words("word.input"), "dL/dz"],
        limit: screen_.height > 860 ? 10 : 5,
        name: (t) =>
          maps ? words("grads.output", { row: t.row, column: t.col }) : words("grads.example"),
      }),
      sumLine([["Σ", words("grads.products", { n: found.terms.length }), found.total, true]]),
      verdict(found.total, found.real, {
        without: node.trainable ? words("grads.itself") : words("grads.frozen"),
      }),
    ),
    side(app, {
      caption: words("back.dz", { name: node.name }),
      note: maps ? words("word.map_k", { k: outUnit }) : "",
      id,
      a: dz,
      channel: outUnit,
      marks: best && maps ? [cellMark(best.row, best.col)] : [],
      label: words("grads.of_output"),
    }),
  ];
}

// The chosen entry of a weight; at first the one with the largest gradient.
function entryOf(chosen, name, shape, gradient) {
  if (chosen?.name === name && chosen.at.length === shape.length) return chosen.at;
  if (gradient?.length !== size(shape)) return shape.map(() => 0);
  const most = gradient.reduce((k, v, i) => (Math.abs(v) > Math.abs(gradient[k]) ? i : k), 0);
  return unravel(shape, most);
}

// The keys of the names of a weight's axes.
function axisNames(node, name, shape, dz) {
  if (shape.length === 4) {
    if (node.type === "Conv2DTranspose") return ["row", "column", "map", "from_map"];
    const deep = name === "depthwise_kernel" || node.type === "DepthwiseConv2D";
    return ["row", "column", deep ? "map" : "from_map", deep ? "multiplier" : "map"];
  }
  if (node.type === "LayerNormalization" && shape.length > 1) {
    return ["row", "column", "map"].slice(-shape.length);
  }
  if (shape.length === 3 && node.type.includes("1D")) {
    return axisNames({ ...node, type: node.type.replace("1D", "2D") }, name, [1, ...shape], dz)
      .slice(1)
      .map((axis) => axis.replace("column", "step"));
  }
  if (shape.length === 2) return ["feature", "unit"];
  if (node.type.endsWith("Normalization")) return [dz.shape.length === 3 ? "map" : "number"];
  return [node.type === "Dense" ? "unit" : "map"];
}

function pickers(app, names, name, shape, at, dz) {
  const axes = axisNames(app.net.nodes[app.state.node], name, shape, dz);
  const labels = axes.map((axis) => words(`axis.${axis}`));
  const choose = (axis, v) =>
    app.set({ weight: { name, at: at.map((old, k) => (k === axis ? v : old)) } });
  const field = (n, axis) =>
    h(
      "label",
      {},
      `${labels[axis]} `,
      indexInput(at[axis], n, labels[axis], `axis-${axis}`, (v) => choose(axis, v)),
    );
  return h(
    "div.pickers",
    {},
    h(
      "label",
      {},
      words("grads.weight"),
      h(
        "select",
        {
          value: name,
          "data-focus": "wname",
          "aria-label": words("learn.weight_name"),
          onchange: (e) => app.set({ weight: { name: e.target.value, at: [] } }),
        },
        optionsOf(names, name),
      ),
    ),
    shape.map(field),
  );
}

// The gradients of the whole kernel that the entry belongs to.
function kernelGradient(app, name, shape, at) {
  const [kh, kw] = shape;
  if (shape.length !== 4 || kh * kw === 1) return null;
  const { net, state } = app;
  const entry = (i, j) => [i, j, at[2], at[3]];
  const values = Array.from(
    { length: kh * kw },
    (_, k) => explainWeight(net, state.node, name, entry(Math.floor(k / kw), k % kw))?.total ?? NaN,
  );
  const most = Math.max(1e-12, ...values.map(Math.abs));
  const cell = (i, j) => ({
    value: values[i * kw + j],
    mark: i === at[0] && j === at[1] ? "won" : "",
    onclick: () => app.set({ weight: { name, at: entry(i, j) } }),
  });
  const title = words("grads.kernel", { kh, kw, unit: unitFor(most)[1] });
  return h(
    "div.taps",
    {},
    h(
      "div.tap-row",
      {},
      h(
        "div.grid-of",
        {},
        h("small", {}, title),
        numberGrid(kh, kw, cell, most, { label: words("grads.kernel_label") }),
      ),
    ),
  );
}

// The channel of the input that the weight is multiplied by.
function inputChannel(net, id, name, at, x) {
  if (x.shape.length !== 3) return 0;
  if (!["kernel", "depthwise_kernel"].includes(name)) return Math.min(at.at(-1), x.shape[2] - 1);
  const { type, config, params } = net.layer(id);
  if (type === "Conv2DTranspose") return at[3];
  if (type !== "Conv2D") return at[2];
  const [, , inner, filters] = params.kernel.shape;
  return Math.floor(at[3] / (filters / (config.groups ?? 1))) * inner + at[2];
}

// The map or unit of the output to which the weight contributes.
function outputUnit(node, name, at, shape) {
  if (name === "depthwise_kernel") return 0;
  if (node.type === "Conv2DTranspose" && name === "kernel") return at[2];
  const deep = node.type === "DepthwiseConv2D" && name === "kernel";
  return deep ? at[2] * shape[3] + at[3] : at.at(-1);
}
