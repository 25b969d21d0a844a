// @ts-check
// The page before a class: larger, over the whole screen, and without what only a reader needs.
import { screen_ } from "page/draw.js";
import { words } from "page/words.js";

const WIDTH = 1400; // pixels of the page that a large screen shows then

let presenting = false;
export const isPresenting = () => presenting;

export async function present(app, on) {
  presenting = on;
  screen_.zoom = on ? Math.max(1, Math.min(2, innerWidth / WIDTH)) : 1;
  document.documentElement.style.setProperty("--zoom", String(screen_.zoom));
  app.root.classList.toggle("presenting", on);
  app.render();
  app.say(on ? words("present.on") : words("present.off"));
  try {
    if (on) await document.documentElement.requestFullscreen();
    else if (document.fullscreenElement) await document.exitFullscreen();
  } catch {
    // The browser does not allow the whole screen: the page is larger all the same.
  }
}

// Leaving the whole screen ends the presentation.
export function listenForScreen(app) {
  document.addEventListener("fullscreenchange", () => {
    if (!document.fullscreenElement && isPresenting()) present(app, false);
  });
}
