// @ts-check
// The view for slides and paper: as SVG, as PNG, or printed; and a link to it.
import { openDialog } from "page/dialogs.js";
import { h, penOf } from "page/draw.js";
import { svgOf } from "page/paper/svg.js";
import { notice } from "page/photos/arriving.js";
import { words } from "page/words.js";

const SHARPNESS = 2; // pixels of a PNG for each of the screen's

// The whole view: nothing is scrolled away, or not painted yet.
export function pictureOfView(app) {
  const { root } = app;
  root.classList.add("whole");
  try {
    for (const canvas of root.querySelectorAll("main canvas")) canvas.paint?.();
    return svgOf(root.querySelector("main"));
  } finally {
    root.classList.remove("whole");
  }
}

/** @returns {Promise<Blob>} */
async function pngOf({ text, width, height }) {
  const image = new window.Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = width * SHARPNESS;
  canvas.height = height * SHARPNESS;
  penOf(canvas).drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => {
    canvas.toBlob((blob) => resolve(/** @type {Blob} */ (blob)), "image/png");
  });
}

function download(blob, name) {
  const url = URL.createObjectURL(blob);
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

// The name of the file: that of the layer or view, without what file systems forbid.
function nameOf({ net, state }) {
  const view = state.view === "layer" ? net.nodes[state.node].name : state.view;
  return `${view}${state.mode === "backward" ? "-backward" : ""}`.replace(/[^\w.-]+/g, "_");
}

export async function saveAs(app, kind) {
  const picture = pictureOfView(app);
  const blob =
    kind === "svg" ? new Blob([picture.text], { type: "image/svg+xml" }) : await pngOf(picture);
  if (!blob) return notice(app, words("save.no_png"));
  download(blob, `${nameOf(app)}.${kind}`);
  app.say(words("save.saved", { name: nameOf(app), kind }));
}

export function saveDialog(app) {
  const act = (run) => () => {
    dialog.close();
    run();
  };
  const way = (text, does, run) =>
    h(
      "li",
      {},
      h("button.primary", { type: "button", onclick: act(run) }, text),
      h("span", {}, does),
    );
  const copy = () =>
    navigator.clipboard
      ? navigator.clipboard.writeText(String(location)).then(
          () => app.say(words("save.copied")),
          () => notice(app, words("save.not_allowed")),
        )
      : notice(app, words("save.cannot"));
  const dialog = openDialog(
    app,
    h(
      "dialog.help.adding",
      { "aria-label": words("save.title") },
      h("h2", {}, words("save.title")),
      h(
        "ul",
        {},
        way("SVG", words("save.svg"), () => saveAs(app, "svg")),
        way("PNG", words("save.png"), () => saveAs(app, "png")),
        way(words("save.print"), words("save.paper"), () => setTimeout(() => window.print())),
        way(words("save.link"), words("save.number"), copy),
      ),
      h("form", { method: "dialog" }, h("button.quiet", {}, words("close"))),
    ),
    "save",
  );
}
