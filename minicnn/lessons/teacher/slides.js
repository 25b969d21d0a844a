"use strict";
// Turns the slides: one is shown at a time, and its number is the page's address.
const all = [...document.querySelectorAll("section")];
const place = document.getElementById("place");
let at = 0;

function show(number) {
  at = Math.min(Math.max(number, 0), all.length - 1);
  all.forEach((slide, index) => { slide.hidden = index !== at; });
  place.value = `${at + 1} / ${all.length}`;
  history.replaceState(null, "", `#${at + 1}`);
  fit(all[at]);
}

/** Makes the text of a full slide smaller until it fits, on a screen of any size and on paper. */
function fit(slide) {
  const fits = () => slide.scrollHeight <= slide.clientHeight
    && [...slide.querySelectorAll("pre")].every((text) => text.scrollWidth <= text.clientWidth);
  for (let share = 1; share > 0.3; share -= 0.05) {
    slide.style.setProperty("--share", share);
    if (fits()) return;
  }
}

const steps = { ArrowRight: 1, PageDown: 1, " ": 1, ArrowLeft: -1, PageUp: -1 };
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Home") show(0);
  else if (event.key === "End") show(all.length - 1);
  else if (event.key in steps) show(at + steps[event.key]);
  else return;
  event.preventDefault();
});
document.getElementById("back").onclick = () => show(at - 1);
document.getElementById("on").onclick = () => show(at + 1);
addEventListener("resize", () => fit(all[at]));
addEventListener("beforeprint", () => all.forEach((slide) => {
  slide.hidden = false;
  slide.style.height = "56.25vw"; // as on paper
  fit(slide);
  slide.style.height = "";
}));
addEventListener("afterprint", () => show(at));
show((parseInt(location.hash.slice(1), 10) || 1) - 1);
