// @ts-check
// Places on the page as addresses, so that Back works and a link leads to a number:
//
//   #conv2d_1/11,30,6/backward      a layer, a number of its output (backward: of its input)
//   #/backward                      the network
//   #:compare, #:heat               another view
//
// What follows is there only if it is not as usual: the direction, the tab, which input of the
// layer (input=1), which photo (photo=2, counted from 0), the language (language=de). What it is
// compared with is another photo (with=1) or another network (against=0).
import { usualRival } from "page/rivals.js";
import { isBackward, sourceNode } from "page/state.js";
import { chosenLanguage, languages, words } from "page/words.js";

const TABS = ["weights", "places", "whatif", "compare"];
const USUAL_TAB = "number";

/**
 * @param {Net} net
 * @param {Record<string, any>} state
 */
export function addressOf(net, state) {
  const back = isBackward(state);
  const inLayer = state.view === "layer";
  const at = inLayer ? (back ? state.inAt : state.at) : null;
  const name = encodeURIComponent(inLayer ? net.nodes[state.node].name : "");
  const comparing = state.view === "compare" || (inLayer && state.tab === "compare");
  const view = state.view === "overview" || inLayer ? "" : `:${state.view}`;
  const parts = [
    name || view,
    at?.length ? at.join(",") : "",
    back ? "backward" : "",
    inLayer && state.tab !== USUAL_TAB ? state.tab : "",
    inLayer && state.which ? `input=${state.which}` : "",
    net.shown ? `photo=${net.shown}` : "",
    comparing ? (state.rival === null ? `with=${state.other}` : `against=${state.rival}`) : "",
    chosenLanguage() === net.facts.language ? "" : `language=${chosenLanguage()}`,
  ];
  const [first, ...rest] = parts;
  return [first, ...rest.filter(Boolean)].join("/");
}

// The address without the number, which a new one replaces.
const withoutPlace = (address) => address.replace(/\/[\d,]+(?=\/|$)/, "");

/**
 * What an address names: {view, node, at, mode, tab, which, photo, other, rival, language}.
 * @param {App} app
 * @param {string} text
 * @throws {Error} with a sentence for the user, if the page has no such place
 */
export function readAddress(app, text) {
  const { net } = app;
  const [first, ...rest] = text.split("/").map(decoded);
  /** @type {Record<string, any>} */
  const found = { view: "overview", mode: "forward", tab: USUAL_TAB, which: 0, photo: 0 };
  found.language = net.facts.language;
  if (first.startsWith(":")) found.view = viewNamed(first.slice(1));
  else if (first) Object.assign(found, { view: "layer", node: layerNamed(net, first) });
  for (const part of rest) Object.assign(found, meaning(part));
  if (!languages().includes(found.language)) {
    throw new Error(words("address.no_language", { name: found.language }));
  }
  checkNumber(found.photo, net.photos.length, "address.no_photo");
  if (found.view === "compare" || found.tab === "compare") checkComparison(app, found);
  if (found.view === "learn" && !net.learning) {
    throw new Error(words("address.no_learning"));
  }
  if (found.view === "learn" && net.obstacleToLearning) throw new Error(net.obstacleToLearning);
  if (found.view === "layer") checkPlace(net, found);
  return found;
}

function checkComparison({ net, rivals }, found) {
  if (found.other === undefined) found.rival ??= usualRival({ net, rivals });
  if (found.rival !== null && found.rival !== undefined) {
    return checkNumber(found.rival, rivals.length, "address.no_rival");
  }
  if (net.photos.length < 2) throw new Error(words("address.one_photo"));
  found.rival = null;
  found.other ??= (found.photo + 1) % net.photos.length;
  checkNumber(found.other, net.photos.length, "address.no_photo");
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

const VIEWS = ["compare", "heat", "learn"];

function viewNamed(name) {
  if (!VIEWS.includes(name)) throw new Error(words("address.no_view", { name }));
  return name;
}

function layerNamed(net, name) {
  const node = net.nodes.find((n) => n.name === name);
  if (!node) throw new Error(words("address.no_layer", { name }));
  return node.id;
}

function meaning(part) {
  if (/^\d+(,\d+)*$/.test(part)) return { at: part.split(",").map(Number) };
  if (part === "forward" || part === "backward") return { mode: part };
  if ([USUAL_TAB, ...TABS].includes(part)) return { tab: part };
  if (part.startsWith("language=")) return { language: part.slice("language=".length) };
  const [, key, value] = /^(input|photo|with|against)=(\d+)$/.exec(part) ?? [];
  if (!key) throw new Error(words("address.meaningless", { part }));
  const names = { input: "which", photo: "photo", with: "other", against: "rival" };
  return { [names[key]]: Number(value) };
}

// `key`: that of the sentence if there is no number k.
function checkNumber(k, n, key, values = {}) {
  if (k >= n) throw new Error(words(key, { k, n, ...values }));
}

function checkPlace(net, found) {
  const { node, at, mode, which } = found;
  const { name, inputs } = net.nodes[node];
  if (inputs.length) checkNumber(which, inputs.length, "address.no_input", { name });
  if (!at) return;
  const back = mode === "backward";
  const shape = net.shape(back ? (sourceNode(net, { node, which }) ?? node) : node);
  if (at.length !== shape.length || at.some((v, axis) => v >= shape[axis])) {
    throw new Error(
      words(back ? "address.no_number_in" : "address.no_number_out", {
        name,
        shape: shape.join(" × "),
        at: at.join(", "),
      }),
    );
  }
}

// Keeps the browser's address up to date, and goes where the user changes it to.
export class Trail {
  constructor(app) {
    this.app = app;
    this.now = "";
    this.following = 0; // addresses on the way
    this.later = undefined;
    addEventListener("hashchange", () => this.follow());
  }

  // Another number replaces the address of the one before; all else is a step to go back from.
  keep() {
    if (this.following) return;
    const { net, state } = this.app;
    const next = addressOf(net, state);
    if (next === this.now) return;
    const step = withoutPlace(next) !== withoutPlace(this.now);
    clearTimeout(this.later);
    if (step) {
      this.write("replaceState");
      this.now = next;
      state.notice = "";
      this.write("pushState");
    } else {
      this.now = next;
      this.later = setTimeout(() => this.write("replaceState"), 300); // browsers allow few a second
    }
  }

  write(how) {
    try {
      if (location.hash.slice(1) !== this.now) history[how](null, "", `#${this.now}`);
    } catch {
      // A page without an address of its own, such as one in a notebook, has no trail.
    }
  }

  // Goes to the place that the browser's address names.
  async follow() {
    const { app } = this;
    clearTimeout(this.later);
    this.following += 1;
    try {
      await app.goTo(readAddress(app, location.hash.slice(1)));
    } catch (error) {
      app.state.notice = error.message;
      app.render();
      app.say(error.message);
    } finally {
      this.following -= 1;
      this.now = addressOf(app.net, app.state);
    }
  }
}
