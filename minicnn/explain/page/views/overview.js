// @ts-check
// The whole network: cards in columns and lanes, and edges between them.
import { count, h, screen_ } from "page/draw.js";
import { hint, untilDone } from "page/hints.js";
import { tour } from "page/tour.js";
import { card } from "page/views/card.js";
import { minimap } from "page/views/minimap.js";
import { classPanel } from "page/views/outcome.js";
import { planOf } from "page/views/plan.js";
import { legendOfNetwork } from "page/views/scale.js";
import { words } from "page/words.js";

// Edges past other layers run along a free lane, or else below the lane where they start.
class Roads {
  constructor(items, plan) {
    this.plan = plan;
    this.taken = new Set(items.map((i) => `${i.lane} ${i.column}`));
    this.below = new Map(); // lane → how many roads run below it
  }

  isFree(lane, from, to) {
    for (let column = from + 1; column < to; column++) {
      if (this.taken.has(`${lane} ${column}`)) return false;
    }
    return true;
  }

  // The height at which a road runs.
  between(from, to) {
    const lane = [from.lane, to.lane].find((l) => this.isFree(l, from.column, to.column));
    if (lane !== undefined) return this.plan.middle(lane);
    const n = this.below.get(from.lane) ?? 0;
    this.below.set(from.lane, n + 1);
    return this.plan.tops[from.lane + 1] - 2 - 5 * n;
  }
}

const bend = (xa, ya, xb, yb) => `C${(xa + xb) / 2} ${ya} ${(xa + xb) / 2} ${yb} ${xb} ${yb}`;

const edgeText = (x, y, text, more = "") => h("text", { x, y, class: `edge-text${more}` }, text);

// The edge between two items: its path, a label if it is long, and what it reaches over.
function edge(net, from, item, plan, roads, back) {
  const { stepX, wide, gap, middle } = plan;
  const x = item.column * stepX;
  const y0 = middle(item.lane);
  const x0 = from.column * stepX + wide;
  const yFrom = middle(from.lane);
  const long = item.column - from.column > 1;
  const y = long ? roads.between(from, item) : y0;
  const x1 = x0 + gap - 6;
  const x2 = x - gap + 6;
  const start = `M${x0} ${yFrom}`;
  return {
    path: h("path", {
      d: long
        ? `${start} ${bend(x0, yFrom, x1, y)} L${x2} ${y} ${bend(x2, y, x - 3, y0)}`
        : `${start} ${bend(x0, yFrom, x - 3, y0)}`,
      class: `edge${back ? " back" : ""}`,
    }),
    labels: long ? [edgeText((x1 + x2) / 2, y - 6, net.shape(from.id).join("×"))] : [],
    reach: [from.column, item.column, Math.min(yFrom, y, y0) - 22, Math.max(yFrom, y, y0) + 16],
  };
}

// The labels before a card: the shape of its input, and the number of weights.
function labelsBefore(net, item, items, { stepX, gap, middle }) {
  const x = item.column * stepX - gap / 2;
  const y = middle(item.lane);
  const near = item.sources
    .map((k) => items[k])
    .filter((from) => item.column - from.column === 1)
    .sort((a, b) => Math.abs(a.lane - item.lane) - Math.abs(b.lane - item.lane))[0];
  const labels = [];
  if (near) {
    const shape = net.shape(near.id);
    const lines =
      shape.length === 3 ? [`×${shape[2]}`, `${shape[0]}×${shape[1]}`] : [shape.join("×")];
    labels.push(...lines.map((text, n) => edgeText(x, y - 7 - 12 * n, text)));
  }
  const total = item.ids.reduce((n, id) => n + net.nodes[id].count, 0);
  if (total) {
    const lines = [count(total), words("overview.weights")];
    labels.push(...lines.map((text, n) => edgeText(x, y + 17 + 12 * n, text, " weights")));
  }
  return labels;
}

export function overview(app) {
  const { net, state } = app;
  const items = overviewItems(net, state.open);
  const back = state.mode === "backward";
  const plan = planOf(net, items);
  const roads = new Roads(items, plan);
  const svg = h("svg.edges", { "aria-hidden": "true" });
  const cards = [];
  const labels = [];
  const reaches = [];
  for (const item of items) {
    for (const k of item.sources) {
      const found = edge(net, items[k], item, plan, roads, back);
      svg.append(found.path);
      labels.push(...found.labels);
      reaches.push(found.reach);
    }
    labels.push(...labelsBefore(net, item, items, plan));
    const [y, below] = plan.tops.slice(item.lane);
    reaches.push([item.column, item.column, y, below]);
    const where = { x: item.column * plan.stepX, y, wide: plan.wide, many: plan.many[item.lane] };
    cards.push([item.column, card(app, item, where)]);
  }
  const width = plan.columns * plan.stepX;
  const height = plan.tops[plan.lanes] + (roads.below.size ? 14 : 8);
  svg.setAttribute("width", width);
  svg.setAttribute("height", height);
  svg.append(...labels);
  const network = strips({ svg, cards, reaches, width, height }, plan);
  const scroller = h(
    "div.scroller",
    {
      tabindex: 0,
      role: "group",
      "aria-label": words("overview.layers"),
      "data-focus": "scroller",
      "data-scroll": "scroller",
    },
    network,
  );
  return h(
    "section.overview",
    { "aria-label": words("overview.title") },
    caption(app, items),
    h(
      "div.river",
      {},
      screen_.printing ? classPanel(app) : null,
      h("div.shore", {}, scroller, plan.scrolls ? minimap(items, plan, scroller) : null),
      screen_.printing ? null : classPanel(app),
    ),
  );
}

// Paper does not scroll: what is wider than the sheet continues below.
function strips({ svg, cards, reaches, width, height }, { columns, room, stepX }) {
  const each = screen_.printing ? Math.max(1, Math.floor((room - 30) / stepX)) : columns;
  const found = [];
  for (let first = 0; first < columns; first += each) {
    const end = Math.min(columns, first + each);
    const here = reaches.filter(([from, to]) => from < end && to >= first);
    const top = screen_.printing ? Math.max(0, Math.min(...here.map((reach) => reach[2]))) : 0;
    const bottom = Math.max(...here.map((reach) => reach[3]));
    const margin = `${-top}px 0 0 ${-first * stepX}px`;
    const stage = h(
      "div.network",
      { style: { width: `${width}px`, height: `${height}px`, margin } },
      first ? svg.cloneNode(true) : svg,
      cards.filter(([column]) => column >= first && column < end).map(([, element]) => element),
    );
    const size_ = { width: `${(end - first) * stepX}px`, height: `${bottom - top}px` };
    found.push(screen_.printing ? h("div.strip-of-network", { style: size_ }, stage) : stage);
  }
  return found;
}

function caption(app, items) {
  const { net, state } = app;
  const collapsed = items.some((i) => i.collapsed);
  const groups = [...new Set(net.nodes.map((n) => n.group))].filter(Boolean);
  const what = net.nodes[0].shape.length === 3 ? "overview.forward" : "overview.forward_line";
  const about =
    state.mode === "backward"
      ? words("overview.backward", { goal: net.goal })
      : words(what, { hint: untilDone("open", words("overview.open")) });
  const invitation = h(
    "button.primary",
    { "data-focus": "tour", onclick: () => tour(app) },
    words("overview.tour"),
  );
  return h(
    "div.caption",
    {},
    h("p", {}, about),
    hint(app, "tour", invitation, words("overview.no_tour")),
    net.nodes.length > 24 && groups.length
      ? h(
          "button.quiet",
          {
            onclick: () => app.set({ open: new Set(collapsed ? groups : []) }),
            "data-focus": "collapse",
          },
          collapsed ? words("overview.expand") : words("overview.collapse"),
        )
      : null,
    legendOfNetwork(app),
  );
}

function overviewItems(net, open) {
  const sizes = new Map();
  const items = [];
  const place_ = new Map();
  net.nodes.forEach((n) => sizes.set(n.group, (sizes.get(n.group) ?? 0) + 1));
  const large = net.nodes.length > 24;
  for (const node of net.nodes) {
    const last = items.at(-1);
    const group = node.group;
    const closed = large && group && sizes.get(group) > 2 && !open.has(group);
    if (closed && last?.collapsed === group) last.ids.push(node.id);
    else {
      const collapsed = closed ? group : null;
      items.push({ ids: [node.id], collapsed, group: large ? group : "" });
    }
    place_.set(node.id, items.length - 1);
  }
  const lanes = new Map();
  items.forEach((item, n) => {
    const sources = new Set(
      item.ids
        .flatMap((id) => net.nodes[id].inputs)
        .map((id) => place_.get(id))
        .filter((k) => k !== n),
    );
    item.sources = [...sources];
    item.column = Math.max(-1, ...item.sources.map((k) => items[k].column)) + 1;
    const before = item.sources.reduce(
      (best, k) => (best === null || items[k].column > items[best].column ? k : best),
      null,
    );
    let lane = before === null ? 0 : items[before].lane;
    while (lanes.get(item.column)?.has(lane)) lane++;
    item.lane = lane;
    if (!lanes.has(item.column)) lanes.set(item.column, new Set());
    lanes.get(item.column).add(lane);
    item.id = item.ids.at(-1);
  });
  return items;
}
