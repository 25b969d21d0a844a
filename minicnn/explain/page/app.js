// @ts-check
// The page's actions: how buttons and keys change the state, and when the page is redrawn.
import { Trail } from "page/address.js";
import { byId, fmt, h } from "page/draw.js";
import { array, offsetOf, size } from "page/engine/arrays.js";
import { backward, forward } from "page/engine/passes.js";
import { Waves } from "page/engine/waves.js";
import { explain, explainInput } from "page/explain/numbers.js";
import { explainWeight } from "page/explain/weights.js";
import { METHODS, forget, forgetful, spearman } from "page/heat.js";
import { forgetHint } from "page/hints.js";
import { listen } from "page/keys.js";
import { Net } from "page/net.js";
import { Course } from "page/learn/course.js";
import { listenForPhotos } from "page/photos/arriving.js";
import { rivalsOf, usualRival } from "page/rivals.js";
import { render, renderBench, renderLearning } from "page/screen.js";
import { choose, chosenAt, isBackward, looked, newState, settle, sourceNode } from "page/state.js";
import { bytesOf } from "page/unpack.js";
import { Timeline } from "page/views/checkpoints.js";
import { stepSaid } from "page/views/learn.js";
import { sidesOf } from "page/views/pair.js";
import { layout, placeIn } from "page/views/pictures.js";
import { chooseScale } from "page/views/scale.js";
import { sameSpot } from "page/views/spots.js";
import { chooseLanguage, chosenLanguage, setWords, words } from "page/words.js";

const PAUSES = [1200, 600, 320, 160, 70, 25]; // milliseconds per cell, by speed

export class App {
  /**
   * @param {Net} net
   * @param {Rival[]} rivals
   */
  constructor(net, rivals) {
    this.net = net;
    this.rivals = rivals;
    this.state = newState();
    this.dream = null; // the image that was grown last
    this.heat = null; // the heat maps that were made last
    this.course = null; // of the training, once it was opened
    this.timeline = null; // of the checkpoints, if the page has some
    this.root = byId("app");
    this.live = h("div.live", { "aria-live": "polite", role: "status" });
    this.timer = undefined;
    this.said = undefined;
    this.place = ""; // the view that is drawn
    this.work = 0; // numbers the long computations: a later one ends those before it
    this.trail = new Trail(this);
    document.body.append(this.live); // never redrawn: screen readers follow an element
    Object.assign(this, { array, forward, backward, explain, explainInput, explainWeight });
    this.heatMaps = { METHODS, forget, forgetful, spearman, Waves };
  }

  render() {
    this.trail.keep();
    chooseScale(this);
    this.timeline?.update();
    render(this);
    const { view, node } = this.state;
    const place = `${view} ${node}`;
    if (this.place && this.place !== place) window.scrollTo(0, 0); // another view begins at its top
    this.place = place;
  }

  say(text) {
    clearTimeout(this.said);
    const pause = this.state.playing ? 900 : 150;
    this.said = setTimeout(() => {
      this.live.textContent = text;
    }, pause);
  }

  announceLater(text) {
    return setTimeout(() => {
      this.state.busy = text;
      this.say(text);
      this.render();
    }, 250);
  }

  // Begins a long computation; the function returned tells whether it is still the latest one.
  begin() {
    const mine = ++this.work;
    return () => mine === this.work;
  }

  // -- the language ------------------------------------------------------------------------------

  // Goes on in another language.
  async speak(language) {
    if (language === chosenLanguage()) return;
    const { net } = this;
    chooseLanguage(language);
    document.documentElement.lang = language;
    document.title = words("title.page", { title: net.title });
    this.dream = null;
    if (net.changed) await this.recompute(); // which says why layers cannot be computed
    this.render();
  }

  // -- navigation ---------------------------------------------------------------------------------

  set(patch) {
    const { net, state } = this;
    Object.assign(state, patch);
    const lost = isBackward(state) && state.view === "layer" && !state.inAt;
    if ("which" in patch || lost) settle(net, state);
    if ("tab" in patch && patch.tab !== "number") this.play(false, true);
    this.render();
  }

  openLayer(id, channel = null) {
    const { net, root, state } = this;
    if (isBackward(state) && id === 0) id = net.nodes[0].consumers[0];
    Object.assign(state, { view: "layer", node: id, which: 0, more: 3, weight: null });
    this.stop();
    this.dream = null;
    forgetHint("open");
    settle(net, state, channel);
    this.render();
    /** @type {HTMLElement | null} */
    const first =
      root.querySelector('[data-focus="out"], .unit.chosen:not(:disabled)') ??
      root.querySelector('[data-focus="film"]') ??
      root.querySelector('[data-focus="back"]');
    first?.focus({ preventScroll: true });
    this.say(`${net.nodes[id].name}, ${net.nodes[id].type}`);
  }

  // Opens a layer at a certain number: of its output, or (backward) of its input.
  openAt(id, at, which = 0) {
    this.openLayer(id);
    this.state.which = which;
    choose(this.state, at);
    this.state.tab = "number";
    this.render();
    this.tell();
  }

  overview() {
    const { root, state } = this;
    this.stop();
    const wasIn = state.view === "layer";
    state.view = "overview";
    this.render();
    /** @type {HTMLElement | null} */
    const card_ = root.querySelector(`[data-focus="card-${state.node}"]`);
    if (!wasIn || !card_) return;
    card_.scrollIntoView({ block: "nearest", inline: "center" });
    card_.focus({ preventScroll: true });
  }

  // Goes to a place that an address names.
  async goTo({ view, node, at, mode, tab, which, photo, other, rival, language }) {
    const { net, state } = this;
    await this.speak(language);
    if (photo !== net.shown && !(await this.showPhoto(photo))) return;
    const comparing = view === "compare" || tab === "compare";
    if (comparing && !(await this.compareWith(other, rival))) return;
    if (mode !== state.mode) await this.setMode(mode);
    if (mode !== state.mode) throw new Error(words("no_backward", { why: net.noBackward }));
    Object.assign(state, { tab, notice: "" });
    if (view === "learn") return this.openLearning();
    if (view !== "layer") return view === "overview" ? this.overview() : this.set({ view });
    this.openLayer(node);
    state.which = which;
    if (at) choose(state, at);
    else if (which) settle(net, state);
    this.render();
    this.tell();
  }

  chooseMap(k) {
    const at = chosenAt(this.state);
    if (!at) return;
    this.state.inChannel = this.state.outChannel = null;
    choose(this.state, [...at.slice(0, -1), k]);
    this.render();
    this.tell();
  }

  pickGroup(channel, e) {
    this.set(e.back ? { outChannel: channel } : { inChannel: channel });
  }

  moveTo(at) {
    choose(this.state, at);
    forgetHint("move");
    this.trail.keep();
    renderBench(this);
    this.tell();
  }

  // Tells a screen reader which number the user has chosen.
  tell() {
    const { net, state } = this;
    const a = looked(net, state);
    const at = chosenAt(state);
    if (!a || !at) return;
    const whose = isBackward(state) ? sourceNode(net, state) : state.node;
    const key = isBackward(state) ? "say.gradient_at" : "say.number_at";
    const value = fmt(a.data[offsetOf(a.shape, at)]);
    this.say(words(key, { place: placeIn(net, whose, at), value }));
  }

  // Moves to the first cell, or by this many cells in reading order.
  move(by) {
    const a = looked(this.net, this.state);
    const at = chosenAt(this.state);
    if (!a || !at) return;
    const own = layout(a.shape);
    const [r, c, k] = own.place(at);
    const n = Math.min(own.rows * own.columns, own.map ? Infinity : size(a.shape));
    const o = by === "first" ? 0 : (r * own.columns + c + by + n) % n;
    this.moveTo(own.at(Math.floor(o / own.columns), o % own.columns, k));
  }

  stop() {
    clearTimeout(this.timer);
    this.state.playing = false;
    if (this.course) this.course.playing = false;
  }

  play(on, quiet = false) {
    const { state } = this;
    this.stop();
    state.playing = on;
    const later = () => {
      this.timer = setTimeout(tick, PAUSES[state.speed - 1]);
    };
    const tick = () => {
      if (!state.playing) return;
      this.move(1);
      later();
    };
    if (on) later();
    if (!quiet) this.render();
  }

  // -- forward and backward -----------------------------------------------------------------------

  async setMode(mode) {
    const { net, state } = this;
    if (mode === "backward" && net.noBackward) {
      return this.say(words("no_backward", { why: net.noBackward }));
    }
    this.stop();
    if (state.view === "learn") state.view = "overview";
    // The view stays as it is until all gradients are there.
    if (mode === "forward") this.begin();
    else if (!(await this.gradients())) return;
    state.mode = mode;
    if (state.view === "heat") state.view = "overview";
    if (mode === "backward" && state.view === "layer" && state.node === 0) {
      state.node = net.nodes[0].consumers[0];
    }
    if (state.view === "layer") settle(net, state);
    this.render();
    this.say(
      mode === "backward"
        ? words(net.kind ? "say.backward_from_loss" : "say.backward_from_number")
        : words("say.forward"),
    );
  }

  // The page computes missing gradients layer by layer, so that it stays responsive.
  async gradients() {
    const isCurrent = this.begin();
    const slow = this.announceLater(words("say.gradients"));
    await this.net.prepareBackward(isCurrent);
    clearTimeout(slow);
    if (isCurrent()) this.state.busy = "";
    return isCurrent();
  }

  async setTarget(k, mode = this.state.mode) {
    const { net } = this;
    net.target = k;
    net.targetChosen = true;
    net.forget();
    if (!(await this.gradients())) return;
    if (mode !== this.state.mode) await this.setMode(mode);
    this.render();
    const what = net.kind ? words("say.loss_of", { name: net.className(k) }) : words("goal.number");
    this.say(`${what}: ${fmt(net.loss())}`);
  }

  // -- photos -------------------------------------------------------------------------------------

  // Computes what the page shows of a photo; returns whether it is still wanted then.
  async computed(photo, net = this.net) {
    const isCurrent = this.begin();
    const { name } = net.photos[photo];
    const slow = this.announceLater(words("say.computing_photo", { name }));
    const done = await net.compute(photo, isCurrent);
    clearTimeout(slow);
    if (isCurrent()) this.state.busy = "";
    return done;
  }

  async showPhoto(photo) {
    const { net, state } = this;
    const before = net.shown;
    this.stop();
    if (!(await this.computed(photo))) return false;
    if (state.rival !== null && !(await this.computed(photo, this.rivals[state.rival].net))) {
      return false;
    }
    const isCurrent = this.begin();
    if (!(await net.show(photo, isCurrent))) return false;
    if (isBackward(state) && net.noBackward) await this.setMode("forward");
    if (isBackward(state) && !(await this.gradients())) return false;
    if (state.other === photo) state.other = before;
    this.dream = null;
    this.course?.show({}); // which shows the maps of this photo, too
    this.render();
    this.count();
    const p = net.probabilities();
    const { name } = net.photo;
    const most = p && net.className(p.indexOf(Math.max(...p)));
    this.say(p ? words("say.photo_likely", { name, most }) : name);
    return true;
  }

  // Makes another photo, or another network, ready to be compared with what is shown.
  async compareWith(other, rival) {
    const { net, rivals, state } = this;
    const done =
      rival === null
        ? await this.computed(other)
        : await this.computed(net.shown, rivals[rival].net);
    if (done) Object.assign(state, rival === null ? { other, rival } : { rival });
    return done;
  }

  // Compares two photos or networks: in all layers, or (tab) in one.
  async compare(patch, chosen = null) {
    const { net, state } = this;
    const before = state.rival === null && state.other === null ? null : state;
    const { other, rival } = chosen ?? before ?? { other: null, rival: usualRival(this) };
    if (!(await this.compareWith(other ?? (net.shown + 1) % net.photos.length, rival))) return;
    this.set(patch);
    this.say(words("say.compared", { name: sidesOf(this)[1].name }));
  }

  chooseTab(tab) {
    return tab === "compare" ? this.compare({ tab }) : this.set({ tab });
  }

  // -- learning -----------------------------------------------------------------------------------

  async openLearning() {
    const { net, state } = this;
    if (!net.learning || net.obstacleToLearning) return;
    this.stop();
    state.view = "learn";
    const isNew = !this.course;
    this.course ??= new Course(net, net.learning, (whole) => {
      if (whole && state.view === "learn") this.render();
      else renderLearning(this);
      this.say(stepSaid(this.course));
    });
    this.render();
    this.say(words("say.learn"));
    await (isNew ? this.course.begin() : this.course.show({}));
  }

  // Takes over what the reader chose for the training.
  async learn(patch) {
    await this.course.choose(patch);
    this.render();
  }

  learnLayer(id) {
    const { course } = this;
    course.show({ id });
    return this.learnWeight({ id, name: course.facts.nodes[id].learns[0] });
  }

  // Watches another weight, or another number of it.
  async learnWeight(patch) {
    const { course } = this;
    await course.watch({ ...course.watched, at: null, ...patch });
    this.render();
  }

  // Shows the whole network with the weights of this step, as a what-if.
  lookInside() {
    const { course, net, state } = this;
    net.reset();
    for (const [key, p] of course.report.weights) net.changedParams.set(key, { ...p, kept: null });
    this.stop();
    state.view = "overview";
    return this.recompute();
  }

  // -- what if ------------------------------------------------------------------------------------

  async recompute() {
    const { net, state } = this;
    const isCurrent = this.begin();
    const slow = this.announceLater(words("say.computing"));
    const shapeIn = () => net.shape(sourceNode(net, state) ?? 0);
    const out = net.shape(state.node);
    const into = shapeIn();
    await net.recompute(isCurrent);
    clearTimeout(slow);
    if (!isCurrent()) return;
    state.busy = "";
    if (state.at) state.at = sameSpot(state.at, out, net.shape(state.node));
    if (state.inAt) state.inAt = sameSpot(state.inAt, into, shapeIn());
    if (isBackward(state)) await this.gradients();
    this.render();
    this.count();
    const p = net.probabilities();
    if (p) this.say(words("say.likely_now", { name: net.className(p.indexOf(Math.max(...p))) }));
  }

  // Tells tests that something is computed.
  count() {
    const { dataset } = this.root;
    dataset.computed = String(Number(dataset.computed ?? 0) + 1);
  }

  changeParam(id, name, change) {
    const { net } = this;
    const old = net.param(id, name);
    const data = Float32Array.from(old.data);
    change(data);
    net.changedParams.set(`${net.nodes[id].key}/${name}`, { ...old, data });
    return this.recompute();
  }

  changeConfig(id, patch) {
    const { changedConfigs, nodes } = this.net;
    const key = nodes[id].key;
    changedConfigs.set(key, { ...changedConfigs.get(key), ...patch });
    return this.recompute();
  }

  changeCell(id, offset, value) {
    const { changedCells } = this.net;
    const cells = changedCells.get(id) ?? new Map();
    changedCells.set(id, cells.set(offset, value));
    return this.recompute();
  }

  showCheckpoint(k) {
    const { net } = this;
    net.takeCheckpoint(k < net.checkpoints.length ? k : null);
    this.timeline.update();
    return this.recompute();
  }

  resetChanges() {
    this.net.reset();
    return this.recompute();
  }
}

async function start() {
  const root = byId("app");
  try {
    const read = (id) => JSON.parse(byId(id).textContent);
    const facts = read("data");
    setWords(read("words"), facts.language);
    const bytes = await bytesOf(byId("numbers").textContent.trim());
    const app = new App(new Net(facts, bytes), rivalsOf(facts, bytes));
    if (app.net.checkpoints.length) app.timeline = new Timeline(app);
    listen(app);
    listenForPhotos(app);
    app.render();
    window.page = app; // for the console, and for tests
    if (location.hash) await app.trail.follow();
    root.dataset.ready = "true";
  } catch (error) {
    root.replaceChildren(h("p.loading", {}, words("say.failed", { error: error.message })));
    throw error;
  }
}

start();
