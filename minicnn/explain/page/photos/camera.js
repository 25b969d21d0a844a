// @ts-check
// A photo from the camera.
import { openDialog } from "page/dialogs.js";
import { h } from "page/draw.js";
import { addPicture, notice } from "page/photos/arriving.js";
import { pixelsOf } from "page/photos/read.js";
import { words } from "page/words.js";

export async function takePhoto(app) {
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch (error) {
    const denied = error.name === "NotAllowedError";
    return notice(app, denied ? words("camera.refused") : words("camera.none"));
  }
  const video = /** @type {HTMLVideoElement} */ (
    h("video", { autoplay: true, playsinline: true, "aria-label": words("camera.view") })
  );
  video.muted = true;
  video.srcObject = stream;
  const shoot = /** @type {HTMLButtonElement} */ (
    h("button.primary", { type: "button", disabled: true }, words("camera.take"))
  );
  const dialog = openDialog(
    app,
    h(
      "dialog.help.adding",
      { "aria-label": words("camera.title") },
      h("h2", {}, words("camera.title")),
      video,
      h("form", { method: "dialog" }, shoot, h("button.quiet", {}, words("close"))),
    ),
    "add-photo",
    () => stream.getTracks().forEach((track) => track.stop()),
  );
  video.addEventListener("loadeddata", () => {
    shoot.disabled = false;
    shoot.focus();
  });
  shoot.addEventListener("click", async () => {
    const picture = pixelsOf(video, video.videoWidth, video.videoHeight);
    dialog.close();
    try {
      await addPicture(app, words("camera.name"), picture);
    } catch (error) {
      notice(app, error.message);
    }
  });
}
