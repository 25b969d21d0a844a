// @ts-check
// The photos as buttons, and the ways to add another one.
import { openDialog } from "page/dialogs.js";
import { h } from "page/draw.js";
import { addFiles } from "page/photos/arriving.js";
import { takePhoto } from "page/photos/camera.js";
import { drawPicture } from "page/photos/drawing.js";
import { obstacleToReading } from "page/photos/read.js";
import { inputPicture, lazyPicture } from "page/views/pictures.js";
import { words } from "page/words.js";

export function photoStrip(app) {
  const { net } = app;
  const several = net.photos.length > 1;
  return h(
    "div.photos",
    { role: "group", "aria-label": words("photos.title") },
    h(
      "div.photo-row",
      { "data-scroll": "photos" },
      net.photos.map((photo, k) => photoButton(app, photo, k, several)),
    ),
    several || app.rivals.length
      ? h(
          "button.quiet",
          {
            "aria-pressed": String(app.state.view === "compare"),
            "data-focus": "compare",
            title: words(several ? "photos.compare_title" : "photos.compare_networks"),
            onclick: () => app.compare({ view: "compare" }),
          },
          words("photos.compare"),
        )
      : null,
    h(
      "button.quiet.add-photo",
      {
        "data-focus": "add-photo",
        "aria-label": words("photos.add"),
        title: obstacleToReading(app) || words("photos.add_title"),
        disabled: Boolean(obstacleToReading(app)),
        onclick: () => addDialog(app),
      },
      "+",
    ),
  );
}

function photoButton(app, { name, picture }, k, several) {
  const { net } = app;
  const image = picture ? h("img.thumb", { src: picture, alt: "" }) : null;
  if (!several) return image;
  const seen = () => inputPicture(net, net.pixelsOf(k));
  return h(
    "button.photo",
    {
      "aria-pressed": String(k === net.shown),
      "aria-label": words("photos.one", { k, name }),
      title: name,
      "data-focus": `photo-${k}`,
      onclick: () => app.showPhoto(k),
    },
    image ?? lazyPicture(seen, { class: "thumb" }),
  );
}

function addDialog(app) {
  const files = /** @type {HTMLInputElement} */ (
    h("input", { type: "file", accept: "image/*", multiple: true, hidden: true })
  );
  const way = (key, text, does, act) =>
    h(
      "li",
      {},
      h("button.primary", { type: "button", "data-focus": key, onclick: act }, text),
      h("span", {}, does),
    );
  const dialog = /** @type {HTMLDialogElement} */ (
    h(
      "dialog.help.adding",
      { "aria-label": words("photos.add") },
      h("h2", {}, words("photos.add")),
      h("p", {}, words("photos.stays")),
      h(
        "ul",
        {},
        way("add-files", words("photos.files"), words("photos.files_from"), () => files.click()),
        navigator.mediaDevices
          ? way("add-camera", words("photos.camera"), words("photos.camera_how"), () => {
              dialog.close();
              takePhoto(app);
            })
          : null,
        way("add-drawing", words("photos.draw"), words("photos.draw_how"), () => {
          dialog.close();
          drawPicture(app);
        }),
      ),
      files,
      h("form", { method: "dialog" }, h("button.quiet", {}, words("close"))),
    )
  );
  files.addEventListener("change", () => {
    dialog.close();
    addFiles(app, files.files);
  });
  openDialog(app, dialog, "add-photo");
}
