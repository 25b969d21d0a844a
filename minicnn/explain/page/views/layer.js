// @ts-check
// One layer: its heading, its maps, the tabs, and the bench.
import { count, h } from "page/draw.js";
import { SCALAR, textOf } from "page/engine/curves.js";
import { activationOf } from "page/engine/functions.js";
import { CURVES } from "page/kinds/activations.js";
import { purposeOf } from "page/kinds/purposes.js";
import { bench } from "page/views/bench.js";
import { comparedKind, obstacleToComparing } from "page/views/pair.js";
import { filmstrip, transport } from "page/views/filmstrip.js";
import { hasWords, words } from "page/words.js";

export function layerView(app) {
  const { net, state } = app;
  const id = state.node;
  const back = state.mode === "backward";
  const tabs = tabsOf(app, id, back);
  const off = { ...tabsOff(net, id, back, state.which), compare: obstacleToComparing(app, id) };
  const open = tabs.filter(([name]) => !off[name]).map(([name]) => name);
  const chosen = state.other !== null || state.rival !== null;
  if (!chosen && state.tab === "compare") state.tab = "number";
  const usual = open.includes("number") ? "number" : (open[0] ?? "number");
  const tab = open.includes(state.tab) ? state.tab : usual;
  const reasons = new Map();
  for (const [name, text] of tabs) {
    if (off[name]) {
      reasons.set(off[name], [...(reasons.get(off[name]) ?? []), words("quoted", { text })]);
    }
  }
  return h(
    "section.layer",
    { "aria-label": words("layer.title", { name: net.nodes[id].name }) },
    layerHead(app, id),
    purpose(app, id),
    filmstrip(app),
    h("div.tabs", {}, tabList(app, tabs, off, tab), transport(app, off[tab] ? "" : tab)),
    [...reasons].map(([why, names]) =>
      h("p.reason", {}, words("layer.not_available", { what: names.join(", "), why })),
    ),
    h(
      "div.bench",
      { id: "bench", role: "tabpanel", "aria-labelledby": `tab-${tab}` },
      bench(app, tab),
    ),
  );
}

function layerHead(app, id) {
  const { net } = app;
  const node = net.nodes[id];
  const walk = (by, text) => {
    const next = net.nodes[id + by > 0 ? id + by : -1];
    return h(
      "button.quiet",
      {
        disabled: !next,
        "data-focus": `walk${by}`,
        "aria-label": by < 0 ? words("layer.previous") : words("layer.next"),
        title: next ? next.name : null,
        onclick: () => app.openLayer(next.id),
      },
      text,
    );
  };
  const facts = [
    describe(net, id),
    node.count
      ? words("layer.weights", {
          n: count(node.count),
          formula: node.formula ? ` = ${node.formula}` : "",
        })
      : words("layer.no_weights"),
    node.macs && !net.changedConfigs.size ? words("layer.macs", { n: count(node.macs) }) : "",
  ];
  return h(
    "header.layer-head",
    {},
    h(
      "button.quiet.back-to",
      { onclick: () => app.overview(), "data-focus": "back", title: words("help.esc.key") },
      words("to_network"),
    ),
    walk(-1, "‹"),
    walk(1, "›"),
    h("h2", {}, node.name, " ", h("small", {}, node.type)),
    h("span.facts", {}, facts.filter(Boolean).join("   ·   ")),
  );
}

// What the layer is for, and its formula.
function purpose(app, id) {
  const { type } = app.net.nodes[id];
  const { formula, own, ...english } = app.net.kinds[type];
  const key = `does.${type}`;
  const does = own && hasWords(key) ? words(key) : english.does;
  const says = purposeOf(type);
  return h(
    "div.purpose",
    {},
    h("p", {}, says || does),
    says && does
      ? h(
          "details",
          {
            open: app.state.formula,
            ontoggle: (event) => {
              app.state.formula = event.target.open;
            },
          },
          h("summary", { "data-focus": "formula" }, words("layer.formula")),
          h("p", {}, does),
          formula ? h("pre", { lang: "en" }, formula) : null,
        )
      : null,
  );
}

function tabsOf(app, id, back) {
  const { net, rivals } = app;
  const weights = Object.keys(net.nodes[id].params).length > 0;
  return [
    ["number", back ? words("layer.tab_gradient") : words("layer.tab_number")],
    ...(weights
      ? [["weights", back ? words("layer.tab_weight_gradients") : words("layer.tab_weights")]]
      : []),
    ...(back
      ? []
      : [
          ["places", words("layer.tab_places")],
          ["whatif", words("layer.tab_whatif")],
          ...(net.photos.length > 1 || rivals.length
            ? [["compare", words(`compare.two_${comparedKind(app)}`)]]
            : []),
        ]),
  ];
}

function tabList(app, tabs, off, chosen) {
  const open = tabs.filter(([name]) => !off[name]).map(([name]) => name);
  const onkeydown = async (event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by || !open.length) return;
    const next = open[(open.indexOf(chosen) + by + open.length) % open.length];
    await app.chooseTab(next);
    document.getElementById(`tab-${next}`)?.focus();
  };
  const tab = ([name, text]) =>
    h(
      "button.tab",
      {
        role: "tab",
        id: `tab-${name}`,
        "aria-selected": String(name === chosen),
        "aria-controls": "bench",
        tabindex: name === chosen ? 0 : -1,
        "data-focus": `tab-${name}`,
        disabled: Boolean(off[name]),
        title: off[name] || null,
        onclick: () => app.chooseTab(name),
      },
      text,
    );
  return h(
    "div.tablist",
    { role: "tablist", "aria-label": words("layer.tabs"), onkeydown },
    tabs.map(tab),
  );
}

function describe(net, id) {
  const node = net.nodes[id];
  const c = net.layer(id).config;
  const parts = [];
  const by = (v) => (Array.isArray(v) ? v.join("×") : v);
  if (c.kernel_size) parts.push(words("layer.kernel", { size: by(c.kernel_size) }));
  if (c.pool_size) parts.push(words("layer.window", { size: by(c.pool_size) }));
  if (c.strides) {
    parts.push(
      words("layer.stride", { n: new Set(c.strides).size > 1 ? by(c.strides) : c.strides[0] }),
    );
  }
  if (typeof c.padding === "string") parts.push(words("layer.padding", { kind: c.padding }));
  if (c.dilation_rate && Math.max(...c.dilation_rate) > 1) {
    parts.push(words("layer.dilation", { n: by(c.dilation_rate) }));
  }
  if (c.groups > 1) parts.push(words("layer.groups", { n: c.groups }));
  if (c.rate !== undefined) parts.push(words("layer.rate", { n: c.rate }));
  const activation = activationOf({ type: node.type, config: c });
  if (activation !== "linear" && node.type !== "Softmax") {
    parts.push(SCALAR[activation] ? `${activation}: ${textOf(SCALAR[activation])}` : activation);
  }
  if (CURVES[node.type]) parts.push(textOf(CURVES[node.type](c), "x"));
  if (!node.trainable && node.count) parts.push(words("layer.frozen"));
  if (net.hasHalfWeights(id)) parts.push(words("layer.half"));
  return parts.join(" · ");
}

// The tabs that a layer lacks on this page, and why: {tab: reason}.
function tabsOff(net, id, back, which) {
  const { inputs, params } = net.nodes[id];
  const off = {};
  const lost = inputs.find((n) => !net.has(n));
  const missing_ = lost === undefined ? "" : net.reason(lost);
  const own = net.has(id) ? "" : net.reason(id);
  if (back) {
    const source = inputs[which] ?? inputs[0];
    off.number = net.gradientReason(source) || net.gradientReason(id) || own || missing_;
    off.weights = Object.keys(params).length ? net.gradientReason(id) || own || missing_ : "";
  } else {
    off.number = own;
    const lines = net.nodes[0].shape.length === 3 ? "" : words("layer.no_photo");
    off.places = lines || own || (net.has(0) ? "" : net.reason(0));
    off.whatif = id ? net.obstacle(id) || missing_ : words("layer.next_for_pixels");
  }
  return off;
}
