// @ts-check
// Hints for a new reader. Each goes away when it is closed or has become needless; the browser
// remembers that for later pages, if it allows a page to.
import { h, screen_ } from "page/draw.js";

const KEY = "minicnn-hints";
let seen;

function remembered() {
  try {
    return (window.localStorage.getItem(KEY) ?? "").split(" ").filter(Boolean);
  } catch {
    return [];
  }
}

export function wasSeen(name) {
  seen ??= new Set(remembered());
  return seen.has(name);
}

export function forgetHint(name) {
  if (wasSeen(name)) return;
  seen.add(name);
  try {
    window.localStorage.setItem(KEY, [...seen].join(" "));
  } catch {
    // The hint comes back with the next page.
  }
}

// The hint of this name with a button to close it, or null if it was seen.
export function hint(app, name, content, label) {
  if (wasSeen(name) || screen_.printing) return null;
  const close = () => {
    forgetHint(name);
    app.render();
  };
  return h(
    "span.hint",
    { "data-hint": name },
    content,
    h("button.quiet", { "aria-label": label, "data-focus": `no-${name}`, onclick: close }, "×"),
  );
}

// Words that are there until the reader has done what they say.
export const untilDone = (name, text) => (wasSeen(name) || screen_.printing ? "" : text);
