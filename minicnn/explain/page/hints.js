// @ts-check
// Hints for a new reader. Each goes away when it is closed or has become needless; the browser
// remembers that for later pages, if it allows a page to.
import { h } from "page/draw.js";

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

// The hint of this name with a button to close it, or null if it was seen; `more` comes between.
export function hint(app, name, text, more = null) {
  if (wasSeen(name)) return null;
  const close = () => {
    forgetHint(name);
    app.render();
  };
  return h(
    "p.hint",
    { "data-hint": name },
    text,
    " ",
    more,
    h(
      "button.quiet",
      { "aria-label": "Close this hint", "data-focus": `hint-${name}`, onclick: close },
      "×",
    ),
  );
}
