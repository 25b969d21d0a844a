// Where one number comes from: the terms of its sum, forward and backward.
//
// An explanation is {form, …, total, value}; `form` says how it is drawn:
//   window    groups of taps {row, col, i, j, input, weight, product, padded}, one group a channel
//   terms     a list {label, input, weight, product}
//   pool      taps of one channel, and which of them won
//   steps     lines {text, value}, one after the other
//   softmax   lines of all classes
//   copy      where the number came from, unchanged
import {
  SCALAR,
  activationOf,
  hidden,
  layerWindow,
  normalization,
  paddingOf,
  place,
  placeBack,
  reluOf,
} from "page/engine.js";

const sumOf = (list, key = "product") => list.reduce((sum, t) => sum + t[key], 0);
const offset = (shape, at) => at.reduce((o, v, i) => o * shape[i] + v, 0);
export const offsetOf = offset;
export const unravel = (shape, o) => {
  const at = [];
  for (let i = shape.length - 1; i >= 0; i--) {
    at[i] = o % shape[i];
    o = Math.floor(o / shape[i]);
  }
  return at;
};

// One weight; `last` counts along the last axis, of which the page may hold a part. NaN if left out.
function weightAt(param, first, last) {
  const n = param.kept ? param.kept.length : param.shape.at(-1);
  const column = param.kept ? param.kept.indexOf(last) : last;
  return column < 0 ? NaN : param.data[first * n + column];
}

function window_(w, x, oy, ox, channel, weight) {
  const [height, width, channels] = x.shape;
  const list = [];
  for (let i = 0; i < w.kernel[0]; i++) {
    for (let j = 0; j < w.kernel[1]; j++) {
      const row = place(w, 0, oy, i);
      const col = place(w, 1, ox, j);
      const padded = row < 0 || row >= height || col < 0 || col >= width;
      const input = padded ? 0 : x.data[(row * width + col) * channels + channel];
      const k = weight ? weight(i * w.kernel[1] + j) : 1;
      list.push({ row, col, i, j, input, weight: k, product: padded ? 0 : input * k, padded });
    }
  }
  return list;
}

// `bias`: null where the layer has none.
function withActivation(layer, found, bias) {
  const z = found.total + (bias ?? 0);
  const name = activationOf(layer);
  const f = SCALAR[name];
  return { ...found, bias, z, activation: name, text: f?.text ?? "", value: f ? f.y(z) : NaN };
}

const biasAt = (layer, k) => (layer.params.bias ? layer.params.bias.data[k] : null);

// Why a cell has no explanation here, or "".
export function missing(net, id, at) {
  const node = net.nodes[id];
  if (!node.known) {
    return `The page has no formula for ${node.type}: it is no layer of minicnn's own, or was called with training on.`;
  }
  if (!net.inputs(id).every(Boolean)) {
    return "What goes into this layer is left out of this page, to keep it small.";
  }
  for (const p of Object.values(node.params)) {
    if (p.kept && !p.kept.includes(at.at(-1))) {
      const word = node.type === "Dense" ? "unit" : "map";
      const some =
        p.kept.length > 24
          ? `${p.kept.length} of ${p.shape.at(-1)} ${word}s`
          : `${word}s ${p.kept.join(", ")}`;
      return `This page holds the kernels of ${some} of this layer; that of ${word} ${at.at(-1)} is left out.`;
    }
  }
  return "";
}

// -- forward --------------------------------------------------------------------------------------

export function explain(net, id, at) {
  const node = net.nodes[id];
  const layer = net.layer(id);
  const xs = net.inputs(id);
  const x = xs[0];
  const y = net.y(id);
  const real = y ? y.data[offset(y.shape, at)] : NaN;
  const last = at.at(-1);
  const found = explainLayer(layer, node, xs, x, at, last, y);
  if (found.activation === "softmax") {
    const scores = allScores(layer, x, at);
    if (!scores.some(Number.isNaN)) {
      Object.assign(found, {
        scores,
        value: softmaxOf(scores)[last],
        softmax: softmaxLines(scores),
      });
    }
  }
  return { node, at, real, ...found };
}

function explainLayer(layer, node, xs, x, at, last, y) {
  const w = layerWindow(layer, x.shape);
  const p = layer.params;
  const c = layer.config;
  switch (node.type) {
    case "Conv2D": {
      const inner = p.kernel.shape[2];
      const filters = p.kernel.shape[3];
      const start = Math.floor(last / (filters / c.groups)) * inner;
      const groups = [];
      for (let k = 0; k < inner; k++) {
        const list = window_(w, x, at[0], at[1], start + k, (tap) =>
          weightAt(p.kernel, tap * inner + k, last),
        );
        groups.push({ channel: start + k, taps: list, sum: sumOf(list) });
      }
      return withActivation(
        layer,
        { form: "window", w, groups, total: sumOf(groups, "sum") },
        biasAt(layer, last),
      );
    }
    case "DepthwiseConv2D": {
      const m = p.kernel.shape[3];
      const k = Math.floor(last / m);
      const channels = p.kernel.shape[2];
      const list = window_(w, x, at[0], at[1], k, (tap) =>
        weightAt(p.kernel, tap * channels + k, last % m),
      );
      const groups = [{ channel: k, taps: list, sum: sumOf(list) }];
      return withActivation(
        layer,
        { form: "window", w, groups, total: groups[0].sum },
        biasAt(layer, last),
      );
    }
    case "SeparableConv2D": {
      const d = p.depthwise_kernel;
      const m = d.shape[3];
      const channels = d.shape[2];
      const groups = [];
      const terms = [];
      for (let deep = 0; deep < channels * m; deep++) {
        const k = Math.floor(deep / m);
        const list = window_(w, x, at[0], at[1], k, (tap) =>
          weightAt(d, tap * channels + k, deep % m),
        );
        const h = sumOf(list);
        const weight = weightAt(p.pointwise_kernel, deep, last);
        groups.push({ channel: k, deep, taps: list, sum: h, scaled: h * weight, weight });
        terms.push({ label: `h ${deep}`, channel: k, deep, input: h, weight, product: h * weight });
      }
      return withActivation(
        layer,
        { form: "separable", w, groups, terms, total: sumOf(terms) },
        biasAt(layer, last),
      );
    }
    case "Dense": {
      const features = p.kernel.shape[0];
      const start = offset(x.shape, [...at.slice(0, -1), 0]);
      const terms = [];
      for (let k = 0; k < features; k++) {
        const input = x.data[start + k];
        const weight = weightAt(p.kernel, k, last);
        terms.push({ label: `x ${k}`, index: k, input, weight, product: input * weight });
      }
      return withActivation(
        layer,
        { form: "terms", terms, total: sumOf(terms) },
        biasAt(layer, last),
      );
    }
    case "MaxPooling2D":
    case "AveragePooling2D": {
      const list = window_(w, x, at[0], at[1], last);
      const real = list.filter((t) => !t.padded);
      if (node.type === "AveragePooling2D") {
        const sum = sumOf(real, "input");
        return {
          form: "pool",
          w,
          taps: list,
          mean: true,
          count: real.length,
          sum,
          value: sum / real.length,
          total: sum / real.length,
        };
      }
      const top = Math.max(...real.map((t) => t.input));
      const winners = real.filter((t) => t.input === top);
      winners.forEach((t, n) => {
        t.won = n === 0;
        t.tied = n > 0;
      });
      return { form: "pool", w, taps: list, value: top, total: top, ties: winners.length - 1 };
    }
    case "GlobalAveragePooling2D":
    case "GlobalMaxPooling2D": {
      const [height, width, channels] = x.shape;
      const list = [];
      for (let o = 0; o < height * width; o++) {
        list.push({
          row: Math.floor(o / width),
          col: o % width,
          input: x.data[o * channels + last],
        });
      }
      if (node.type === "GlobalAveragePooling2D") {
        const sum = sumOf(list, "input");
        return {
          form: "global",
          mean: true,
          taps: list,
          sum,
          count: list.length,
          value: sum / list.length,
          total: sum / list.length,
        };
      }
      const top = list.reduce((best, t) => Math.max(best, t.input), -Infinity);
      const winners = list.filter((t) => t.input === top);
      winners.forEach((t) => {
        t.won = true;
      });
      return {
        form: "global",
        taps: list,
        value: top,
        total: top,
        ties: winners.length - 1,
        winner: winners[0],
      };
    }
    case "BatchNormalization": {
      const s = normalization(layer, last);
      const input = x.data[offset(x.shape, at)];
      const centred = input - s.mean;
      const scaled = centred * s.inverse;
      return {
        form: "steps",
        value: scaled * s.gamma + s.beta,
        total: scaled * s.gamma + s.beta,
        lines: [
          ["x", "what comes in", input],
          [
            "x − mean",
            `− ${signed(s.mean)}, the moving mean of this ${x.shape.length === 3 ? "map" : "number"}`,
            centred,
          ],
          [
            "÷ √(variance + ε)",
            `÷ √(${short(s.variance)} + ${layer.config.epsilon}) = ÷ ${short(1 / s.inverse)}`,
            scaled,
          ],
          ["× gamma", `× ${signed(s.gamma)}, learned`, scaled * s.gamma],
          ["+ beta", `+ ${signed(s.beta)}, learned`, scaled * s.gamma + s.beta],
        ],
      };
    }
    case "Activation":
    case "Softmax":
    case "ReLU": {
      const input = x.data[offset(x.shape, at)];
      const name = activationOf(layer);
      if (name === "softmax") {
        return { form: "softmax", activation: "softmax", total: input, z: input };
      }
      const f = node.type === "ReLU" ? reluOf(c) : SCALAR[name];
      return {
        form: "curve",
        f,
        input,
        name: node.type === "ReLU" ? "ReLU" : name,
        text: f.text.replaceAll("z", "x"),
        total: input,
        value: f.y(input),
      };
    }
    case "Rescaling": {
      const input = x.data[offset(x.shape, at)];
      const pick = (v) => (Array.isArray(v) ? v[last] : v);
      const scale = pick(c.scale);
      const shift = pick(c.offset);
      const value = input * scale + shift;
      return {
        form: "steps",
        value,
        total: value,
        lines: [
          ["x", "what comes in", input],
          ["× scale", `× ${short(scale)}`, input * scale],
          ["+ offset", `+ ${signed(shift)}`, value],
        ],
      };
    }
    case "Flatten":
    case "Reshape": {
      const o = offset(y.shape, at);
      const from = unravel(x.shape, o);
      return {
        form: "copy",
        from: [{ at: from, value: x.data[o], input: 0 }],
        value: x.data[o],
        total: x.data[o],
        text: readingOrder(x.shape, from, o),
      };
    }
    case "Dropout": {
      const o = offset(x.shape, at);
      return {
        form: "copy",
        from: [{ at, value: x.data[o], input: 0 }],
        value: x.data[o],
        total: x.data[o],
        text: `Dropout works in training only: there it sets each number to 0 with probability ${c.rate}, and divides the others by ${short(1 - c.rate)}. Here it passes all of them on.`,
      };
    }
    case "ZeroPadding2D": {
      const [[top], [left]] = paddingOf(layer);
      const from = [at[0] - top, at[1] - left, last];
      const inside = from[0] >= 0 && from[0] < x.shape[0] && from[1] >= 0 && from[1] < x.shape[1];
      const value = inside ? x.data[offset(x.shape, from)] : 0;
      return {
        form: "copy",
        from: inside ? [{ at: from, value, input: 0 }] : [],
        value,
        total: value,
        text: inside
          ? `The pixel moves down by ${top} and right by ${left}.`
          : "This place is in the border that the layer adds: a zero.",
      };
    }
    case "Add": {
      const o = offset(y.shape, at);
      const from = xs.map((a, n) => ({ at, value: a.data[o], input: n }));
      return {
        form: "copy",
        sum: true,
        from,
        value: sumOf(from, "value"),
        total: sumOf(from, "value"),
        text: "The numbers at the same place of all inputs, added.",
      };
    }
    case "Concatenate": {
      let k = last;
      let n = 0;
      while (k >= xs[n].shape.at(-1)) k -= xs[n++].shape.at(-1);
      const from = [...at.slice(0, -1), k];
      const value = xs[n].data[offset(xs[n].shape, from)];
      return {
        form: "copy",
        from: [{ at: from, value, input: n }],
        value,
        total: value,
        text: `${x.shape.length === 3 ? "Channel" : "Number"} ${last} of the output is ${x.shape.length === 3 ? "channel" : "number"} ${k} of input ${n}.`,
      };
    }
    default:
      return { form: "none", value: NaN, total: NaN };
  }
}

const short = (v) =>
  (v === 0
    ? "0"
    : Math.abs(v) >= 1e4 || Math.abs(v) < 1e-3
      ? v.toExponential(2)
      : String(+v.toPrecision(4))
  ).replace("-", "−");

const signed = (v) => (v < 0 ? `(${short(v)})` : short(v));

// The term that matters most: {at, input}, a place in what the layer was given (forward), or in what
// it gave (backward). null where there is none.
export function largestTerm(net, e) {
  const most = (list, key) =>
    list.reduce((a, b) => (a && Math.abs(a[key]) >= Math.abs(b[key]) ? a : b), null);
  const inner = (group) =>
    most(
      group.taps.filter((t) => !t.padded),
      "product",
    );
  switch (e.form) {
    case "window": {
      const found = most(
        e.groups
          .map((g) => ({ g, t: inner(g) }))
          .filter((f) => f.t)
          .map((f) => ({ ...f, product: f.t.product })),
        "product",
      );
      return (
        found && {
          at: [
            found.t.row,
            found.t.col,
            e.filter?.(found.t.row, found.t.col, found.g.channel) ?? found.g.channel,
          ],
          input: 0,
        }
      );
    }
    case "separable": {
      const group = most(e.groups, "scaled");
      const tap = inner(group);
      return tap && { at: [tap.row, tap.col, group.channel], input: 0 };
    }
    case "terms": {
      const t = most(e.terms, "product");
      if (!t) return null;
      return {
        at: t.row === undefined ? [...e.at.slice(0, -1), t.index] : [t.row, t.col, e.at[2]],
        input: 0,
      };
    }
    case "pool":
    case "global": {
      const t =
        e.taps.find((tap) => tap.won) ??
        most(
          e.taps.filter((tap) => !tap.padded),
          "input",
        );
      return { at: [t.row, t.col, e.at.at(-1)], input: 0 };
    }
    case "copy": {
      const f = most(e.from, "value");
      return f && { at: f.at, input: f.input ?? 0 };
    }
    case "steps":
    case "curve":
    case "softmax":
      return { at: e.at, input: 0 };
    default:
      return null;
  }
}

function readingOrder(shape, at, o) {
  if (shape.length !== 3) return `Number ${o} in reading order.`;
  const [, width, channels] = shape;
  const [r, c, k] = at;
  return `row ${r} · ${width} columns · ${channels} channels + column ${c} · ${channels} channels + channel ${k} = ${o}`;
}

function allScores(layer, x, at) {
  if (layer.type !== "Dense") {
    const n = x.shape.at(-1);
    const start = offset(x.shape, [...at.slice(0, -1), 0]);
    return Array.from(x.data.slice(start, start + n));
  }
  const { kernel } = layer.params;
  const [features, units] = kernel.shape;
  const start = offset(x.shape, [...at.slice(0, -1), 0]);
  return Array.from({ length: units }, (_, u) => {
    let z = biasAt(layer, u) ?? 0;
    for (let k = 0; k < features; k++) z += x.data[start + k] * weightAt(kernel, k, u);
    return z;
  });
}

function softmaxOf(scores) {
  const top = Math.max(...scores);
  const e = scores.map((s) => Math.exp(s - top));
  const sum = e.reduce((a, b) => a + b);
  return e.map((v) => v / sum);
}

export function softmaxLines(scores) {
  const top = Math.max(...scores);
  const p = softmaxOf(scores);
  const e = scores.map((s) => Math.exp(s - top));
  const sum = e.reduce((a, b) => a + b);
  return { top, sum, lines: scores.map((z, k) => ({ k, z, shifted: z - top, e: e[k], p: p[k] })) };
}

// -- backward: d loss / d one number that went into the layer -------------------------------------

export function explainInput(net, id, at, which = 0) {
  const node = net.nodes[id];
  const layer = net.layer(id);
  const xs = net.inputs(id);
  const x = xs[which];
  const dz = net.dz(id);
  const dy = net.dy(id);
  const y = net.y(id);
  if (!dz) return null;
  const found = inputLayer(net, layer, node, xs, x, at, which, dz, dy, y);
  const source = net.nodes[id].inputs[which];
  const gradient = net.dy(source);
  const uses = net.nodes[source].consumers.length;
  const real = gradient ? gradient.data[offset(gradient.shape, at)] : NaN;
  return { node, at, uses, real, ...found, value: found.value ?? found.total };
}

function inputLayer(net, layer, node, xs, x, at, which, dz, dy, y) {
  const p = layer.params;
  const c = layer.config;
  const k = at.at(-1);
  const w = layerWindow(layer, x.shape);
  const outputs = (from, channels, channel, weight) => {
    const list = [];
    for (let i = 0; i < w.kernel[0]; i++) {
      for (let j = 0; j < w.kernel[1]; j++) {
        const row = placeBack(w, 0, at[0], i);
        const col = placeBack(w, 1, at[1], j);
        const padded = row < 0 || col < 0;
        const input = padded ? 0 : from[(row * w.out[1] + col) * channels + channel];
        const v = weight(i * w.kernel[1] + j);
        list.push({ row, col, i, j, input, weight: v, product: padded ? 0 : input * v, padded });
      }
    }
    return list;
  };
  const windows = (groups, extra = {}) => ({
    form: "window",
    back: true,
    w,
    groups,
    total: sumOf(groups, "sum"),
    ...extra,
  });
  switch (node.type) {
    case "Conv2D": {
      const inner = p.kernel.shape[2];
      const filters = p.kernel.shape[3];
      const each = filters / c.groups;
      const start = Math.floor(k / inner) * each;
      const groups = [];
      for (let o = start; o < start + each; o++) {
        const list = outputs(dz.data, filters, o, (tap) =>
          weightAt(p.kernel, tap * inner + (k % inner), o),
        );
        groups.push({ channel: o, taps: list, sum: sumOf(list) });
      }
      return windows(groups);
    }
    case "DepthwiseConv2D": {
      const m = p.kernel.shape[3];
      const channels = p.kernel.shape[2];
      return windows(
        Array.from({ length: m }, (_, t) => {
          const list = outputs(dz.data, channels * m, k * m + t, (tap) =>
            weightAt(p.kernel, tap * channels + k, t),
          );
          return { channel: k * m + t, taps: list, sum: sumOf(list) };
        }),
      );
    }
    case "SeparableConv2D": {
      const d = p.depthwise_kernel;
      const m = d.shape[3];
      const channels = d.shape[2];
      const filters = c.filters;
      if (p.pointwise_kernel.kept) return { form: "none", total: NaN };
      return windows(
        Array.from({ length: m }, (_, t) => {
          const deep = k * m + t;
          const dh = new Float64Array(w.out[0] * w.out[1]);
          for (let o = 0; o < dh.length; o++) {
            for (let f = 0; f < filters; f++) {
              dh[o] += dz.data[o * filters + f] * p.pointwise_kernel.data[deep * filters + f];
            }
          }
          const list = outputs(dh, 1, 0, (tap) => weightAt(d, tap * channels + k, t));
          return { channel: deep, taps: list, sum: sumOf(list) };
        }),
        {
          hidden: true,
          filter: (row, col, deep) => {
            const part = (f) =>
              Math.abs(
                dz.data[(row * w.out[1] + col) * filters + f] *
                  p.pointwise_kernel.data[deep * filters + f],
              );
            return [...Array(filters).keys()].reduce((a, b) => (part(b) > part(a) ? b : a));
          },
        },
      );
    }
    case "Dense": {
      const units = p.kernel.shape[1];
      const start = offset(dz.shape, [...at.slice(0, -1), 0]);
      const terms = Array.from({ length: units }, (_, u) => {
        const input = dz.data[start + u];
        const weight = weightAt(p.kernel, k, u);
        return { label: `dz ${u}`, index: u, input, weight, product: input * weight };
      });
      return { form: "terms", back: true, terms, total: sumOf(terms) };
    }
    case "MaxPooling2D":
    case "AveragePooling2D": {
      const terms = [];
      for (let i = 0; i < w.kernel[0]; i++) {
        for (let j = 0; j < w.kernel[1]; j++) {
          const row = placeBack(w, 0, at[0], i);
          const col = placeBack(w, 1, at[1], j);
          if (row < 0 || col < 0) continue;
          const real = window_(w, x, row, col, k).filter((t) => !t.padded);
          const input = dy.data[offset(dy.shape, [row, col, k])];
          const winner = real.reduce((best, t) => (t.input > best.input ? t : best));
          const won = winner.row === at[0] && winner.col === at[1];
          const weight = node.type === "AveragePooling2D" ? 1 / real.length : won ? 1 : 0;
          const note =
            node.type === "AveragePooling2D"
              ? `its share of ${real.length} pixels`
              : won
                ? "it won this window"
                : "it lost this window";
          terms.push({
            label: `window (${row}, ${col})`,
            note,
            input,
            weight,
            product: input * weight,
            row,
            col,
          });
        }
      }
      return { form: "terms", back: true, pooled: true, terms, total: sumOf(terms) };
    }
    case "GlobalAveragePooling2D":
    case "GlobalMaxPooling2D": {
      const n = x.shape[0] * x.shape[1];
      const d = dy.data[k];
      if (node.type === "GlobalAveragePooling2D") {
        return {
          form: "steps",
          total: d / n,
          lines: [
            ["dy", `gradient of feature ${k}`, d],
            [`÷ ${n}`, "each pixel has an equal share", d / n],
          ],
        };
      }
      let top = -Infinity;
      let ties = 0;
      for (let o = 0; o < n; o++) top = Math.max(top, x.data[o * x.shape[2] + k]);
      for (let o = 0; o < n; o++) if (x.data[o * x.shape[2] + k] === top) ties++;
      const won = x.data[offset(x.shape, at)] === top;
      const total = won ? d / ties : 0;
      return {
        form: "steps",
        total,
        lines: [
          ["dy", `gradient of feature ${k}`, d],
          [
            won ? `÷ ${ties}` : "× 0",
            won
              ? `it is ${ties > 1 ? `one of ${ties} maxima, which share` : "the maximum"}`
              : "another pixel is the maximum",
            total,
          ],
        ],
      };
    }
    case "BatchNormalization": {
      const s = normalization(layer, k);
      const d = dy.data[offset(dy.shape, at)];
      return {
        form: "steps",
        total: d * s.gamma * s.inverse,
        lines: [
          ["dy", "gradient of the output here", d],
          ["× gamma", `× ${short(s.gamma)}`, d * s.gamma],
          ["÷ √(variance + ε)", `÷ ${short(1 / s.inverse)}`, d * s.gamma * s.inverse],
        ],
      };
    }
    case "Activation":
    case "Softmax":
    case "ReLU": {
      const o = offset(x.shape, at);
      const name = activationOf(layer);
      if (node.type !== "ReLU" && name === "softmax") {
        const v = y.data[o];
        if (node.id === net.output && net.kind === "softmax") {
          const t = net.target === k ? 1 : 0;
          return {
            form: "steps",
            total: v - t,
            lines: [
              ["p", "the probability", v],
              [
                `− ${t}`,
                t ? "this is the class of the loss" : "another class is that of the loss",
                v - t,
              ],
            ],
          };
        }
        const mean =
          y.shape.reduce((a, b) => a * b, 1) === y.shape.at(-1)
            ? dy.data.reduce((a, d, i) => a + d * y.data[i], 0)
            : NaN;
        return {
          form: "steps",
          total: dz.data[o],
          lines: [
            ["dy", "gradient of this probability", dy.data[o]],
            ["− Σ dy·p", `− ${short(mean)}`, dy.data[o] - mean],
            ["× p", `× ${short(v)}`, dz.data[o]],
          ],
        };
      }
      const f = node.type === "ReLU" ? reluOf(c) : SCALAR[name];
      const v = x.data[o];
      if (node.id === net.output && net.kind === "sigmoid") {
        return {
          form: "steps",
          total: dz.data[o],
          lines: [
            ["p", "the probability of class 1", y.data[o]],
            [`− ${net.target}`, "the class of the loss", dz.data[o]],
          ],
        };
      }
      const slope = f.slope(v, y.data[o]);
      return {
        form: "steps",
        total: dy.data[o] * slope,
        lines: [
          ["dy", "gradient of the output here", dy.data[o]],
          [
            "× slope",
            `× ${short(slope)}, the slope of ${f.text.replaceAll("z", "x")} at x = ${short(v)}`,
            dy.data[o] * slope,
          ],
        ],
      };
    }
    case "Rescaling": {
      const scale = Array.isArray(c.scale) ? c.scale[k] : c.scale;
      const d = dy.data[offset(dy.shape, at)];
      return {
        form: "steps",
        total: d * scale,
        lines: [
          ["dy", "gradient of the output here", d],
          ["× scale", `× ${short(scale)}`, d * scale],
        ],
      };
    }
    case "Flatten":
    case "Reshape":
    case "Dropout":
    case "Add": {
      const o = offset(x.shape, at);
      const to = node.type === "Add" || node.type === "Dropout" ? at : unravel(y.shape, o);
      return {
        form: "copy",
        from: [{ at: to, value: dy.data[o], back: true }],
        total: dy.data[o],
        text: "The gradient of the output at this place, unchanged.",
      };
    }
    case "ZeroPadding2D": {
      const [[top], [left]] = paddingOf(layer);
      const to = [at[0] + top, at[1] + left, k];
      const v = dy.data[offset(dy.shape, to)];
      return {
        form: "copy",
        from: [{ at: to, value: v, back: true }],
        total: v,
        text: `The gradient of the output, ${top} rows down and ${left} columns right.`,
      };
    }
    case "Concatenate": {
      const start = xs.slice(0, which).reduce((n, a) => n + a.shape.at(-1), 0);
      const to = [...at.slice(0, -1), start + k];
      const v = dy.data[offset(dy.shape, to)];
      return {
        form: "copy",
        from: [{ at: to, value: v, back: true }],
        total: v,
        text: `The gradient of the output's ${x.shape.length === 3 ? "channel" : "number"} ${start + k}.`,
      };
    }
    default:
      return { form: "none", total: NaN };
  }
}

// -- backward: d loss / d one weight --------------------------------------------------------------

// Terms {row, col, xrow, xcol, input, dz, product} of the gradient of a weight at `at`.
export function explainWeight(net, id, name, at) {
  const node = net.nodes[id];
  const layer = net.layer(id);
  const x = net.inputs(id)[0];
  const p = layer.params;
  const dz = net.dz(id);
  const dy = net.dy(id);
  if (!dz || !x) return null;
  const units = dz.shape.at(-1);
  const last = at.at(-1);
  const n = dz.data.length / units;
  const terms = [];
  const width = dz.shape.length === 3 ? dz.shape[1] : 1;
  const add = (o, input, d, row, col) =>
    terms.push({
      row: Math.floor(o / width),
      col: o % width,
      xrow: row,
      xcol: col,
      input,
      dz: d,
      product: input * d,
    });
  if (name === "bias") for (let o = 0; o < n; o++) add(o, 1, dz.data[o * units + last]);
  else if (node.type === "Dense") {
    const features = p.kernel.shape[0];
    for (let o = 0; o < n; o++) add(o, x.data[o * features + at[0]], dz.data[o * units + last]);
  } else if (name === "gamma" || name === "beta") {
    const s = normalization(layer, last);
    for (let o = 0; o < n; o++) {
      const v = x.data[o * units + last];
      add(
        o,
        name === "beta" ? 1 : (v - s.mean) * s.inverse,
        dy.data[o * units + last],
        Math.floor(o / width),
        o % width,
      );
    }
  } else if (name === "pointwise_kernel") {
    const h = hidden(layer, x);
    const deep = h.shape[2];
    for (let o = 0; o < n; o++) {
      add(o, h.data[o * deep + at[2]], dz.data[o * units + last], Math.floor(o / width), o % width);
    }
  } else {
    const w = layerWindow(layer, x.shape);
    const [height, across, channels] = x.shape;
    const kernel = p[name];
    let channel = at[2];
    let d = dz.data;
    let count = units;
    let column = last;
    if (node.type === "Conv2D") {
      channel = Math.floor(last / (units / layer.config.groups)) * kernel.shape[2] + at[2];
    } else {
      column = at[2] * kernel.shape[3] + at[3];
      if (node.type === "SeparableConv2D") {
        if (p.pointwise_kernel.kept) return null;
        count = 1;
        d = new Float64Array(w.out[0] * w.out[1]);
        for (let o = 0; o < d.length; o++) {
          for (let f = 0; f < units; f++) {
            d[o] += dz.data[o * units + f] * p.pointwise_kernel.data[column * units + f];
          }
        }
        column = 0;
      }
    }
    for (let o = 0; o < w.out[0] * w.out[1]; o++) {
      const row = place(w, 0, Math.floor(o / w.out[1]), at[0]);
      const col = place(w, 1, o % w.out[1], at[1]);
      if (row < 0 || row >= height || col < 0 || col >= across) continue;
      add(o, x.data[(row * across + col) * channels + channel], d[o * count + column], row, col);
    }
  }
  const total = sumOf(terms);
  const stored = net.storedWeightGradient(id, name);
  const shape = net.nodes[id].params[name].shape;
  return { node, name, at, terms, total, real: stored ? stored[offset(shape, at)] : NaN };
}
