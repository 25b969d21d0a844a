// @ts-check
// A part of the page as an SVG picture: boxes, images, lines and text that any program shows.
import { h, penOf } from "page/draw.js";

const SVG = "http://www.w3.org/2000/svg";

// What the page's own SVG elements get from the style sheet.
const INHERITED = [
  ...["fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-linejoin", "opacity"],
  ...["font-size", "font-family", "font-weight", "text-anchor", "paint-order"],
];

// The picture of an element as text, with its size in pixels.
export function svgOf(element) {
  const picture = new Picture(element);
  picture.add(element, picture.root);
  const { width, height } = picture;
  const { root } = picture;
  for (const [name, v] of Object.entries({ width, height, viewBox: `0 0 ${width} ${height}` })) {
    root.setAttribute(name, String(v));
  }
  const ground = make("rect", { width, height, fill: colourOf(document.body, "backgroundColor") });
  root.prepend(ground);
  return { text: new window.XMLSerializer().serializeToString(root), width, height };
}

function make(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) element.setAttribute(key, String(value));
  }
  return element;
}

const colourOf = (element, property) => getComputedStyle(element)[property];
const isClear = (colour) => colour === "transparent" || /, 0\)$/.test(colour);

class Picture {
  constructor(element) {
    this.root = document.createElementNS(SVG, "svg");
    const box = element.getBoundingClientRect();
    this.left = box.left;
    this.top = box.top;
    this.width = Math.ceil(Math.max(box.width, element.scrollWidth));
    this.height = Math.ceil(Math.max(box.height, element.scrollHeight));
    this.pen = penOf(document.createElement("canvas"));
    this.names = 0;
  }

  place({ left, top, width, height }) {
    return { x: round(left - this.left), y: round(top - this.top), width, height };
  }

  add(element, into) {
    const style = getComputedStyle(element);
    const visible = element.checkVisibility({ opacityProperty: true, visibilityProperty: true });
    if (!visible && style.display !== "contents") return; // which has no box, but children
    if (element.matches("[type=range], [type=file]")) return; // which only a hand would use
    const box = this.place(element.getBoundingClientRect());
    const within = this.group(element, style, box, into);
    if (box.width && box.height) this.addBox(style, box, within);
    const tag = element.localName;
    if (tag === "svg") return this.addSvg(element, box, within);
    if (tag === "canvas" || tag === "img") return this.addImage(element, style, box, within);
    if (tag === "select" || tag === "input") return this.addValue(element, style, box, within);
    for (const node of element.childNodes) {
      if (node.nodeType === 3) this.addText(node, style, within);
      else if (node.nodeType === 1) this.add(node, within);
    }
  }

  // What is inside a faint element is in a group, and what it hides is cut off.
  group(element, style, { x, y, width, height }, into) {
    const faint = style.opacity !== "1" ? style.opacity : null;
    const cut = style.overflowX !== "visible" && element.scrollWidth > element.clientWidth + 1;
    if (!faint && !cut) return into;
    const group = make("g", { opacity: faint });
    if (cut) {
      const id = `cut-${this.names++}`;
      const clip = make("clipPath", { id });
      clip.append(make("rect", { x, y, width, height }));
      group.append(clip);
      group.setAttribute("clip-path", `url(#${id})`);
    }
    into.append(group);
    return group;
  }

  addBox(style, box, into) {
    const { x, y, width, height } = box;
    const radius = Math.min(parseFloat(style.borderTopLeftRadius) || 0, width / 2, height / 2);
    const gradient = this.gradientOf(style, into);
    const fill = gradient ?? (isClear(style.backgroundColor) ? null : style.backgroundColor);
    if (fill) into.append(make("rect", { x, y, width, height, rx: radius, fill }));
    const sides = ["Top", "Right", "Bottom", "Left"].map((side) => ({
      width: style[`border${side}Style`] === "none" ? 0 : parseFloat(style[`border${side}Width`]),
      colour: style[`border${side}Color`],
    }));
    const [top] = sides;
    if (sides.every((s) => s.width === top.width && s.colour === top.colour)) {
      if (top.width && !isClear(top.colour)) {
        this.addFrame(box, radius, -top.width / 2, top.width, top.colour, into);
      }
    } else this.addSides(box, sides, into);
    for (const [, colour, spread, inset] of style.boxShadow.matchAll(
      /(rgba?\([^)]*\)) 0px 0px 0px ([\d.]+)px( inset)?/g,
    )) {
      const thick = Number(spread);
      this.addFrame(box, radius, inset ? -thick / 2 : thick / 2, thick, colour, into);
    }
    if (style.outlineStyle !== "none" && style.outlineStyle !== "auto") {
      const thick = parseFloat(style.outlineWidth);
      const dashes = style.outlineStyle === "dashed" ? "3 3" : null;
      const out = parseFloat(style.outlineOffset) + thick / 2;
      this.addFrame(box, radius, out, thick, style.outlineColor, into, dashes);
    }
  }

  /**
   * Adds a frame whose middle is `out` pixels outside the box.
   *
   * @param {any} box
   * @param {number} radius
   * @param {number} out
   * @param {number} thick
   * @param {string} stroke
   * @param {Element} into
   * @param {string | null} dashes
   */
  addFrame({ x, y, width, height }, radius, out, thick, stroke, into, dashes = null) {
    into.append(
      make("rect", {
        ...{ x: x - out, y: y - out, rx: radius ? radius + out : 0 },
        ...{ width: Math.max(0, width + 2 * out), height: Math.max(0, height + 2 * out) },
        ...{ fill: "none", stroke, "stroke-width": thick, "stroke-dasharray": dashes },
      }),
    );
  }

  addSides({ x, y, width, height }, sides, into) {
    const ends = [
      [x, y, x + width, y],
      [x + width, y, x + width, y + height],
      [x, y + height, x + width, y + height],
      [x, y, x, y + height],
    ];
    sides.forEach((side, k) => {
      if (!side.width || isClear(side.colour)) return;
      const [x1, y1, x2, y2] = ends[k];
      const stroke = { stroke: side.colour, "stroke-width": side.width };
      into.append(make("line", { x1, y1, x2, y2, ...stroke }));
    });
  }

  // A gradient from left to right, as the legends have it.
  gradientOf(style, into) {
    const given = /^linear-gradient\(90deg, ((?:rgb\([^)]*\)(?:, )?)+)\)$/.exec(
      style.backgroundImage,
    );
    if (!given) return null;
    const colours = given[1].match(/rgb\([^)]*\)/g) ?? [];
    const id = `gradient-${this.names++}`;
    const gradient = make("linearGradient", { id });
    colours.forEach((colour, k) => {
      gradient.append(make("stop", { offset: k / (colours.length - 1), "stop-color": colour }));
    });
    into.append(gradient);
    return `url(#${id})`;
  }

  addImage(element, style, box, into) {
    const isCanvas = element.localName === "canvas";
    if (isCanvas && !(element.width && element.height)) return;
    const fit = { cover: "xMidYMid slice", contain: "xMidYMid meet" }[style.objectFit] ?? "none";
    into.append(
      make("image", {
        ...box,
        href: isCanvas ? element.toDataURL() : element.src,
        preserveAspectRatio: fit,
        style: style.imageRendering === "pixelated" ? "image-rendering: pixelated" : null,
      }),
    );
  }

  addSvg(element, box, into) {
    const copy = element.cloneNode(true);
    const originals = [element, ...element.querySelectorAll("*")];
    [copy, ...copy.querySelectorAll("*")].forEach((node, k) => {
      const style = getComputedStyle(originals[k]);
      for (const name of INHERITED) node.setAttribute(name, style.getPropertyValue(name));
      node.removeAttribute("class");
    });
    for (const [name, value] of Object.entries(box)) copy.setAttribute(name, String(value));
    copy.setAttribute("overflow", "visible");
    into.append(copy);
  }

  addValue(element, style, { x, y, width, height }, into) {
    const text = element.selectedOptions?.[0]?.textContent ?? element.value;
    const left = style.textAlign !== "right";
    const inset = parseFloat(style.paddingLeft) + 2;
    into.append(
      h("text", {
        ...{ x: left ? x + inset : x + width - inset, y: y + height / 2 },
        ...{ "dominant-baseline": "central", "text-anchor": left ? "start" : "end" },
        ...fontOf(style),
      }),
    );
    into.lastChild.textContent = text;
  }

  // The words of a text, line by line, each as wide as in the page.
  addText(node, style, into) {
    const lines = [];
    const range = document.createRange();
    for (const { index, 0: word } of node.data.matchAll(/\S+\s*/g)) {
      range.setStart(node, index);
      range.setEnd(node, index + word.trimEnd().length);
      const box = range.getBoundingClientRect();
      if (!box.width) continue;
      const line = lines.at(-1);
      if (line && Math.abs(line.top - box.top) < 2) {
        line.end = index + word.trimEnd().length;
        line.right = box.right;
      } else {
        const { top, left, right } = box;
        lines.push({ start: index, end: index + word.trimEnd().length, top, left, right });
      }
    }
    this.pen.font = `${style.fontWeight} ${style.fontSize} ${style.fontFamily}`;
    const ascent = this.pen.measureText("x").fontBoundingBoxAscent;
    for (const { start, end, top, left, right } of lines) {
      const { x, y } = this.place(new window.DOMRect(left, top, right - left, 0));
      const text = make("text", {
        ...{ x, y: round(y + ascent), textLength: round(right - left) },
        ...{ lengthAdjust: "spacingAndGlyphs", "xml:space": "preserve", ...fontOf(style) },
      });
      text.textContent = node.data.slice(start, end).replace(/\s/g, " ");
      into.append(text);
    }
  }
}

const round = (v) => Math.round(v * 100) / 100;

const fontOf = (style) => ({
  fill: style.color,
  "font-family": style.fontFamily,
  "font-size": style.fontSize,
  "font-weight": style.fontWeight,
  "text-decoration": style.textDecorationLine === "none" ? null : style.textDecorationLine,
});
