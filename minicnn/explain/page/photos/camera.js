// @ts-check
// A photo from the camera.
import { openDialog } from "page/dialogs.js";
import { h } from "page/draw.js";
import { addPicture, notice } from "page/photos/arriving.js";
import { pixelsOf } from "page/photos/read.js";

export async function takePhoto(app) {
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch (error) {
    const denied = error.name === "NotAllowedError";
    return notice(app, denied ? "The browser did not allow the camera." : "There is no camera.");
  }
  const video = /** @type {HTMLVideoElement} */ (
    h("video", { autoplay: true, playsinline: true, "aria-label": "What the camera sees" })
  );
  video.muted = true;
  video.srcObject = stream;
  const shoot = /** @type {HTMLButtonElement} */ (
    h("button.primary", { type: "button", disabled: true }, "Take the photo")
  );
  const dialog = openDialog(
    app,
    h(
      "dialog.help.adding",
      { "aria-label": "Take a photo" },
      h("h2", {}, "Take a photo"),
      video,
      h("form", { method: "dialog" }, shoot, h("button.quiet", {}, "Close")),
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
      await addPicture(app, "photo of the camera", picture);
    } catch (error) {
      notice(app, error.message);
    }
  });
}
