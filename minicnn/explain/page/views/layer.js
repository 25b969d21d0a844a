// @ts-check
// One layer: its heading, its maps, the tabs, and the bench.
import { count, h } from "page/draw.js";
import { SCALAR } from "page/engine/curves.js";
import { activationOf } from "page/engine/functions.js";
import { CURVES } from "page/kinds/activations.js";
import { purposeOf } from "page/kinds/purposes.js";
import { bench } from "page/views/bench.js";
import { comparedWords, obstacleToComparing } from "page/views/pair.js";
import { filmstrip, transport } from "page/views/filmstrip.js";

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
    if (off[name]) reasons.set(off[name], [...(reasons.get(off[name]) ?? []), `“${text}”`]);
  }
  return h(
    "section.layer",
    { "aria-label": `Layer ${net.nodes[id].name}` },
    layerHead(app, id),
    purpose(app, id),
    filmstrip(app),
    h("div.tabs", {}, tabList(app, tabs, off, tab), transport(app, off[tab] ? "" : tab)),
    [...reasons].map(([why, names]) =>
      h("p.reason", {}, `${names.join(", ")}: not available. ${why}`),
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
        "aria-label": by < 0 ? "Previous layer" : "Next layer",
        title: next ? next.name : null,
        onclick: () => app.openLayer(next.id),
      },
      text,
    );
  };
  const facts = [
    describe(net, id),
    node.count
      ? `${count(node.count)} weights${node.formula ? ` = ${node.formula}` : ""}`
      : "no weights",
    node.macs && !net.changedConfigs.size ? `${count(node.macs)} multiply-adds` : "",
  ];
  return h(
    "header.layer-head",
    {},
    h(
      "button.quiet.back-to",
      { onclick: () => app.overview(), "data-focus": "back", title: "Esc" },
      "← Network",
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
  const { does, formula } = app.net.kinds[type];
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
          h("summary", { "data-focus": "formula" }, "formula"),
          h("p", {}, does),
          formula ? h("pre", {}, formula) : null,
        )
      : null,
  );
}

function tabsOf(app, id, back) {
  const { net, rivals } = app;
  const weights = Object.keys(net.nodes[id].params).length > 0;
  return [
    ["number", back ? "Its gradient" : "This number"],
    ...(weights ? [["weights", back ? "Weights’ gradients" : "Weights"]] : []),
    ...(back
      ? []
      : [
          ["places", "Where it looks"],
          ["whatif", "What if …"],
          ...(net.photos.length > 1 || rivals.length ? [["compare", comparedWords(app)]] : []),
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
    { role: "tablist", "aria-label": "What to look at", onkeydown },
    tabs.map(tab),
  );
}

function describe(net, id) {
  const node = net.nodes[id];
  const c = net.layer(id).config;
  const words = [];
  const by = (v) => (Array.isArray(v) ? v.join("×") : v);
  if (c.kernel_size) words.push(`${by(c.kernel_size)} kernel`);
  if (c.pool_size) words.push(`${by(c.pool_size)} window`);
  if (c.strides) words.push(`stride ${new Set(c.strides).size > 1 ? by(c.strides) : c.strides[0]}`);
  if (typeof c.padding === "string") words.push(`padding “${c.padding}”`);
  if (c.dilation_rate && Math.max(...c.dilation_rate) > 1) {
    words.push(`dilation ${by(c.dilation_rate)}`);
  }
  if (c.groups > 1) words.push(`${c.groups} groups`);
  if (c.rate !== undefined) words.push(`rate ${c.rate}`);
  const activation = activationOf({ type: node.type, config: c });
  if (activation !== "linear" && node.type !== "Softmax") {
    words.push(SCALAR[activation] ? `${activation}: ${SCALAR[activation].text}` : activation);
  }
  if (CURVES[node.type]) words.push(CURVES[node.type](c).text);
  if (!node.trainable && node.count) words.push("frozen");
  if (net.hasHalfWeights(id)) words.push("weights stored with 11 bits");
  return words.join(" · ");
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
    const lines =
      net.nodes[0].shape.length === 3 ? "" : "The network looks at a line, not a photo.";
    off.places = lines || own || (net.has(0) ? "" : net.reason(0));
    off.whatif = id
      ? net.obstacle(id) || missing_
      : "To change pixels of the photo, open the next layer.";
  }
  return off;
}
