// @ts-check
// The card of a layer, or of a collapsed block, in the overview.
import { allZeros, count, h, shapeText, vectorPicture, vectorShape, zeroMaps } from "page/draw.js";
import { size } from "page/engine/arrays.js";
import { isPhoto, lazyPicture, mapName, picture } from "page/views/pictures.js";
import { endText, scaleFor } from "page/views/scale.js";
import { words } from "page/words.js";

// What a card shows of a layer: its outputs, or their gradients.
const shown = (app, id) => (app.state.mode === "backward" ? app.net.dy(id) : app.net.y(id));

export function card(app, item, { x, y, wide, many }) {
  const { net, state } = app;
  const id = item.id;
  const node = net.nodes[id];
  const value = shown(app, id);
  const back = state.mode === "backward";
  const openIt = (channel) => {
    if (item.collapsed) app.set({ open: new Set([...state.open, item.collapsed]) });
    else app.openLayer(back && id === 0 ? net.nodes[0].consumers[0] : id, channel);
  };
  const why = value ? "" : back ? net.gradientReason(id) : net.reason(id);
  const missing = value ? "" : words(back ? "card.no_gradient" : "card.left_out");
  const { thumbs, hidden } = value
    ? pictures(app, id, value, wide, many)
    : { thumbs: [h("span.void", { title: why }, missing, " ")], hidden: 0 };
  const zero = value && allZeros(value.data);
  const foot = [
    zero ? words("card.zeros") : value && (id > 0 || back) ? endText(value) : "",
    hidden ? words("card.more", { n: hidden }) : "",
  ];
  const name = item.collapsed ? item.collapsed.split("/").at(-1) : node.name;
  // What a screen reader says begins with what is seen.
  const seen = [name, cardType(item, node), missing, ...foot].filter(Boolean).join(", ");
  const height = `${many * (wide + 4) - 4}px`;
  const classes = [
    item.collapsed && ".collapsed",
    net.alternatives.has(id) && ".changed",
    !value && ".off",
  ];
  return h(
    `button.card${classes.filter(Boolean).join("")}`,
    {
      style: { left: `${x}px`, top: `${y}px`, width: `${wide}px` },
      "data-focus": `card-${item.collapsed ?? id}`,
      "data-layer": node.name,
      ...(item.collapsed ? blockNames(item, seen) : layerNames(net, id, why, seen)),
      onclick: (event) =>
        openIt(event.target.dataset?.map === undefined ? null : Number(event.target.dataset.map)),
    },
    h("span.card-name", {}, name, " "),
    h("span.card-type", {}, cardType(item, node), " "),
    h("span.thumbs", { style: { width: `${wide}px`, height } }, thumbs),
    h(
      "span.card-foot",
      {},
      foot.filter(Boolean).map((line) => h("span", {}, line, " ")),
    ),
  );
}

function cardType(item, node) {
  if (node.type === "InputLayer") {
    return node.shape.length === 3 ? words("card.photo") : words("card.input");
  }
  return item.collapsed ? words("card.layers", { n: item.ids.length }) : node.type;
}

const blockNames = ({ collapsed }, seen) => ({
  title: words("card.open", { name: collapsed }),
  "aria-label": words("card.block", { seen }),
});

function layerNames(net, id, why, seen) {
  const node = net.nodes[id];
  const shape = shapeText(net.shape(id));
  const weights = node.count
    ? words("card.weights", { n: count(node.count), formula: node.formula })
    : "";
  return {
    title: `${node.name} (${node.type}), ${shape}${weights}`,
    "aria-label": words("card.layer", { seen, shape, n: node.count, why: why && ` ${why}` }),
  };
}

// The strongest maps, or the numbers as one image; and how many maps are not shown.
function pictures(app, id, value, wide, many) {
  const { net, state } = app;
  const shape = net.shape(id);
  if (shape.length !== 3) return { thumbs: [vectorThumb(value, wide, many)], hidden: 0 };
  const longer = Math.max(shape[0], shape[1]);
  const style = {
    width: `${Math.max(8, (wide * shape[1]) / longer)}px`,
    height: `${Math.max(8, (wide * shape[0]) / longer)}px`,
  };
  const photo = isPhoto(net, id) && state.mode !== "backward";
  const list = photo ? (shape[2] === 1 ? [-1] : [-1, 0, 1, 2]) : strongest(value, many);
  const thumb = (k) => {
    const zero = k >= 0 && zeroMaps(value)[k];
    return lazyPicture(() => picture(net, id, value, k, scaleFor(value, k)), {
      style,
      "data-map": k,
      class: zero ? "zero" : null,
      title:
        k < 0
          ? words("card.photo")
          : `${mapName(net, id, k)}${zero ? words("card.and_zeros") : ""}`,
    });
  };
  return {
    thumbs: list.slice(0, many).map(thumb),
    hidden: photo ? 0 : Math.max(0, shape[2] - many),
  };
}

function vectorThumb(value, wide, many) {
  const n = size(value.shape);
  const [rows, columns] = n > 24 ? vectorShape(n) : [n, 1];
  const tall = Math.min(many * (wide + 4) - 4, rows * (n > 24 ? 8 : 20));
  const width = Math.min(wide, n > 24 ? Math.max(24, (tall * columns) / rows) : 22);
  return lazyPicture(() => vectorPicture(value.data, scaleFor(value)), {
    style: { width: `${width}px`, height: `${tall}px` },
  });
}

// The maps with the largest mean, in the order of their indices.
function strongest(a, n) {
  const channels = a.shape[2];
  const sums = new Float64Array(channels);
  const skip = Math.max(1, Math.floor(a.data.length / channels / 2000));
  for (let p = 0; p < a.data.length / channels; p += skip) {
    for (let k = 0; k < channels; k++) sums[k] += Math.abs(a.data[p * channels + k]);
  }
  return [...sums.keys()]
    .sort((i, j) => sums[j] - sums[i])
    .slice(0, n)
    .sort((i, j) => i - j);
}
