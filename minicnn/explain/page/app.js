// The page's state, and what keys and buttons do to it.
import { colourPicture, count, fmt, h, screen_, theme } from "page/draw.js";
import { array, offsetOf, size, unravel } from "page/engine/arrays.js";
import { backward, backwardAsync, forward, forwardAsync } from "page/engine/passes.js";
import { explain, explainInput } from "page/explain/numbers.js";
import { explainWeight } from "page/explain/weights.js";
import { Net, breathe, inflate } from "page/net.js";
import { bench } from "page/views/bench.js";
import { layerView } from "page/views/layer.js";
import { overview } from "page/views/overview.js";
import { layout } from "page/views/pictures.js";
import { clampAt, placeText, sameSpot } from "page/views/spots.js";

const PAUSES = [1200, 600, 320, 160, 70, 25]; // milliseconds a cell, by speed

function createApp(net) {
  const root = document.getElementById("app");
  const live = h("div.live", { "aria-live": "polite", role: "status" });
  const state = {
    view: "overview",
    mode: "forward",
    node: 0,
    at: null,
    inAt: null,
    which: 0,
    inChannel: null,
    outChannel: null,
    tab: "number",
    term: null,
    weight: null,
    pixel: null,
    more: 3,
    playing: false,
    speed: 3,
    open: new Set(),
    busy: "",
  };
  let timer = 0;
  let said = 0;
  let work = 0;
  let dream = null;
  document.body.append(live); // never redrawn: screen readers follow an element, not its copies
  const app = { net, state };
  const backward_ = () => state.mode === "backward";

  // -- drawing ------------------------------------------------------------------------------------

  function keepingFocus(draw) {
    const key = document.activeElement?.dataset?.focus;
    const scroll = {};
    for (const element of root.querySelectorAll("[data-scroll]")) {
      scroll[element.dataset.scroll] = element.scrollLeft;
    }
    draw();
    for (const element of root.querySelectorAll("[data-scroll]")) {
      element.scrollLeft = scroll[element.dataset.scroll] ?? 0;
    }
    const film = root.querySelector(".film");
    const chosen = film?.querySelector(".chosen");
    if (
      chosen &&
      (chosen.offsetLeft < film.scrollLeft ||
        chosen.offsetLeft > film.scrollLeft + film.clientWidth - 60)
    ) {
      film.scrollLeft = chosen.offsetLeft - film.clientWidth / 2;
    }
    if (key) {
      root.querySelector(`[data-focus="${CSS.escape(key)}"]`)?.focus({ preventScroll: true });
    }
  }

  function render() {
    keepingFocus(() =>
      root.replaceChildren(
        ...header(),
        h("main", { id: "main" }, state.view === "overview" ? overview(app) : layerView(app)),
        footer(),
      ),
    );
  }

  function renderBench() {
    const place = document.getElementById("bench");
    if (!place) return render();
    keepingFocus(() => place.replaceChildren(...[bench(app, currentTab())].flat()));
  }

  const currentTab = () =>
    root.querySelector('.tab[aria-selected="true"]')?.dataset.focus.slice(4) ?? state.tab;

  function header() {
    const why = net.noBackward;
    const off = (name) => (name === "backward" && !backward_() ? why : "");
    const mode = (name, text) =>
      h(
        "button",
        {
          "aria-pressed": String(state.mode === name),
          "data-focus": `mode-${name}`,
          disabled: Boolean(off(name)),
          title: off(name) || null,
          onclick: () => app.setMode(name),
        },
        text,
      );
    const weights = net.nodes.reduce((n, node) => n + node.count, 0);
    const macs = net.nodes.reduce((n, node) => n + node.macs, 0);
    return [
      h(
        "header.top",
        {},
        net.photo ? h("img.thumb", { src: net.photo, alt: "" }) : null,
        h(
          "div.title",
          {},
          h("h1", {}, net.title),
          h(
            "p",
            {},
            `${net.nodes.length - 1} layers · ${count(weights)} weights · ${count(macs)} multiply-adds`,
          ),
        ),
        h(
          "div.switch",
          { role: "group", "aria-label": "Direction" },
          mode("forward", "Forward →"),
          mode("backward", "← Backward"),
        ),
        net.changed
          ? h(
              "button.badge",
              {
                onclick: () => app.resetChanges(),
                "data-focus": "badge",
                title: "Back to the real network",
              },
              "What-if is on · reset",
            )
          : null,
        state.busy ? h("span.busy", {}, state.busy) : null,
        h("span.grow"),
        h(
          "button.quiet",
          {
            "data-focus": "theme",
            "aria-label": `Switch to ${theme() === "dark" ? "light" : "dark"} colours`,
            onclick: () => {
              document.documentElement.dataset.theme = theme() === "dark" ? "light" : "dark";
              render();
            },
          },
          h("span", { "aria-hidden": "true" }, theme() === "dark" ? "☀" : "☾"),
          h("span.word", {}, theme() === "dark" ? " Light" : " Dark"),
        ),
        h(
          "button.quiet",
          { "data-focus": "help", "aria-label": "Keys and notes", onclick: () => help() },
          "?",
          h("span.word", {}, " Help"),
        ),
      ),
      why && !backward_() ? h("p.reason.under-top", {}, `Backward: not here. ${why}`) : null,
    ].filter(Boolean);
  }

  function footer() {
    return h(
      "footer.notes",
      {},
      net.notes.map((note) => h("p", {}, note)),
    );
  }

  function help() {
    const keys = [
      ["Tab", "go from one thing to the next"],
      ["Enter", "open the layer, the map, the cell"],
      ["Esc", "back to the network"],
      ["← ↑ ↓ →", "move the cell, the map or the unit"],
      ["Space", "play or pause"],
      [". and ,", "one cell on, one back"],
      ["[ and ]", "the map or unit before, the one after"],
      ["F and B", "forward, backward"],
    ];
    const dialog = h(
      "dialog.help",
      { "aria-label": "Keys and notes" },
      h("h2", {}, "Keys"),
      h(
        "dl",
        {},
        keys.map(([key, does]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, does)]),
      ),
      h("h2", {}, "What you see"),
      h(
        "p",
        {},
        "Sums are computed in this page with 64 bits and set beside what minicnn computed with 32: they agree but for rounding. Point at a number for all of its digits. Orange is above zero, blue below, the ground is zero; a map or kernel that is zero everywhere has a dashed edge. A scale of colours ends where 99.8 % of the numbers are within, so that a few large ones do not hide the rest; the true extremes stand below it.",
      ),
      net.notes.length
        ? [h("h2", {}, "What is left out"), net.notes.map((note) => h("p", {}, note))]
        : null,
      h("form", { method: "dialog" }, h("button.primary", {}, "Close")),
    );
    document.body.append(dialog);
    dialog.addEventListener("close", () => {
      dialog.remove();
      root.querySelector('[data-focus="help"]')?.focus();
    });
    dialog.showModal();
  }

  function say(text) {
    clearTimeout(said);
    said = setTimeout(
      () => {
        live.textContent = text;
      },
      state.playing ? 900 : 150,
    );
  }

  const announceLater = (text) =>
    setTimeout(() => {
      state.busy = text;
      say(text);
      render();
    }, 250);

  // -- going around -------------------------------------------------------------------------------

  const source = () => net.nodes[state.node].inputs[state.which] ?? net.nodes[state.node].inputs[0];
  const looked = () =>
    state.view !== "layer" ? null : backward_() ? net.dy(source()) : net.y(state.node);

  // The place with the largest number, of this channel or of all.
  // `kept`: the maps whose kernels are in the page.
  // `boxes`: where to look first, [first row, last row, first column, last column] or null; a place
  // at the edge says more about the padding than about the picture.
  function strongestCell(a, channel = null, kept = null, boxes = []) {
    if (!a) return null;
    const channels = a.shape.at(-1);
    const columns = a.shape[1];
    const signed = backward_();
    const here = kept && channel === null ? new Set(kept) : null;
    const within = (box, p) =>
      !box ||
      (p >= box[0] * columns &&
        p < (box[1] + 1) * columns &&
        p % columns >= box[2] &&
        p % columns <= box[3]);
    for (const box of [...(a.shape.length === 3 ? boxes.filter(Boolean) : []), null]) {
      let best = -1;
      let most = -Infinity;
      for (
        let o = channel ?? 0;
        o < a.data.length;
        o += channel === null || a.shape.length !== 3 ? 1 : channels
      ) {
        const v = signed ? Math.abs(a.data[o]) : a.data[o];
        if (
          v > most &&
          (!here || here.has(o % channels)) &&
          within(box, Math.floor(o / channels))
        ) {
          most = v;
          best = o;
        }
      }
      if (most > 0 || !box) return unravel(a.shape, Math.max(best, 0));
    }
  }

  function settle(channel = null) {
    const node = net.nodes[state.node];
    if (state.which >= node.inputs.length) state.which = 0;
    const y = net.y(state.node);
    const dx = backward_() ? net.dy(source()) : null;
    if (channel !== null && channel < 0) channel = 0;
    const map = (a) =>
      a?.shape.length === 3 && channel !== null ? Math.min(channel, a.shape[2] - 1) : null;
    const kept = Object.values(node.params).find((p) => p.kept)?.kept;
    if (!backward_() && y) {
      state.at = strongestCell(y, map(y), kept, [
        net.innerCells(state.node, true),
        net.innerCells(state.node, false),
      ]);
    } else {
      state.at =
        state.at && y
          ? clampAt(
              y.shape.map((_, i) => state.at[i] ?? 0),
              y.shape,
            )
          : node.shape.map(() => 0);
    }
    if (backward_()) {
      state.inAt =
        strongestCell(
          dx,
          map(dx),
          null,
          source() === undefined ? [] : [net.readCells(state.node, source())],
        ) ?? net.shape(source() ?? 0).map(() => 0);
    }
    state.inChannel = state.outChannel = state.term = state.pixel = null;
  }

  app.set = (patch) => {
    Object.assign(state, patch);
    if ("which" in patch || (backward_() && state.view === "layer" && !state.inAt)) settle();
    if ("tab" in patch && patch.tab !== "number") app.play(false, true);
    render();
  };

  app.openLayer = (id, channel = null) => {
    if (backward_() && id === 0) id = net.nodes[0].consumers[0];
    Object.assign(state, { view: "layer", node: id, which: 0, more: 3, weight: null });
    stop();
    dream = null;
    settle(channel);
    render();
    (
      root.querySelector('[data-focus="out"], .unit.chosen:not(:disabled)') ??
      root.querySelector('[data-focus="film"]') ??
      root.querySelector('[data-focus="back"]')
    )?.focus({ preventScroll: true });
    say(`${net.nodes[id].name}, ${net.nodes[id].type}`);
  };

  // Open a layer at a certain number: of its output, or (backward) of its input.
  app.openAt = (id, at, which = 0) => {
    app.openLayer(id);
    state.which = which;
    if (backward_()) state.inAt = at;
    else state.at = at;
    state.tab = "number";
    render();
    tell();
  };

  app.overview = () => {
    stop();
    const id = state.node;
    const wasIn = state.view === "layer";
    state.view = "overview";
    render();
    const card = root.querySelector(`[data-focus="card-${id}"]`);
    if (wasIn && card) {
      card.scrollIntoView({ block: "nearest", inline: "center" });
      card.focus({ preventScroll: true });
    }
  };

  app.chooseMap = (k) => {
    const at = backward_() ? state.inAt : state.at;
    if (!at) return;
    const to = at.length === 3 ? [at[0], at[1], k] : [...at.slice(0, -1), k];
    state.inChannel = state.outChannel = null;
    if (backward_()) state.inAt = to;
    else state.at = to;
    render();
    tell();
  };

  app.pickGroup = (channel, e) =>
    app.set(e.back ? { outChannel: channel } : { inChannel: channel });

  app.moveTo = (at) => {
    if (backward_()) state.inAt = at;
    else state.at = at;
    renderBench();
    tell();
  };

  function tell() {
    const a = looked();
    const at = backward_() ? state.inAt : state.at;
    if (a && at) {
      say(
        `${backward_() ? "gradient of " : ""}${placeText(at, net.unitWord(backward_() ? source() : state.node))}: ${fmt(a.data[offsetOf(a.shape, at)])}`,
      );
    }
  }

  app.move = (by) => {
    const a = looked();
    const at = backward_() ? state.inAt : state.at;
    if (!a || !at) return;
    const place = layout(a.shape);
    const [r, c, k] = place.place(at);
    const n = Math.min(place.rows * place.columns, place.map ? Infinity : size(a.shape));
    const o = by === "first" ? 0 : (r * place.columns + c + by + n) % n;
    app.moveTo(place.at(Math.floor(o / place.columns), o % place.columns, k));
  };

  function stop() {
    clearTimeout(timer);
    state.playing = false;
  }

  app.play = (on, quiet = false) => {
    stop();
    state.playing = on;
    const tick = () => {
      if (!state.playing) return;
      app.move(1);
      timer = setTimeout(tick, PAUSES[state.speed - 1]);
    };
    if (on) timer = setTimeout(tick, PAUSES[state.speed - 1]);
    if (!quiet) render();
  };

  app.setMode = async (mode) => {
    if (mode === "backward" && net.noBackward) return say(`Backward: not here. ${net.noBackward}`);
    stop();
    // What is shown stays until all gradients are there.
    if (mode === "forward") work++;
    else if (!(await gradients())) return;
    state.mode = mode;
    if (mode === "backward" && state.view === "layer" && state.node === 0) {
      state.node = net.nodes[0].consumers[0];
    }
    if (state.view === "layer") settle();
    render();
    say(mode === "backward" ? `Backward: gradients of ${net.goal}` : "Forward");
  };

  // Gradients that the page must compute come layer by layer, so that it stays alive.
  async function gradients() {
    const mine = ++work;
    const slow = announceLater("Computing gradients …");
    await net.prepareBackward(() => mine === work);
    clearTimeout(slow);
    if (mine === work) state.busy = "";
    return mine === work;
  }

  app.setTarget = async (k, mode = state.mode) => {
    net.target = k;
    net.forget();
    if (!(await gradients())) return;
    if (mode !== state.mode) await app.setMode(mode);
    render();
    say(`${net.kind ? `loss of ${net.className(k)}` : "the chosen number"}: ${fmt(net.loss())}`);
  };

  // -- what if ------------------------------------------------------------------------------------

  async function recompute() {
    const mine = ++work;
    const slow = announceLater("Computing …");
    const out = net.shape(state.node);
    const into = net.shape(source() ?? 0);
    await net.recompute(() => mine === work);
    clearTimeout(slow);
    if (mine !== work) return;
    state.busy = "";
    if (state.at) state.at = sameSpot(state.at, out, net.shape(state.node));
    if (state.inAt) state.inAt = sameSpot(state.inAt, into, net.shape(source() ?? 0));
    if (backward_()) await gradients();
    render();
    root.dataset.computed = String(Number(root.dataset.computed ?? 0) + 1);
    const p = net.probabilities();
    if (p) say(`Most likely now: ${net.className(p.indexOf(Math.max(...p)))}`);
  }

  app.changeParam = (id, name, change) => {
    const old = net.param(id, name);
    const data = Float32Array.from(old.data);
    change(data);
    net.changedParams.set(`${net.nodes[id].key}/${name}`, {
      shape: old.shape,
      kept: old.kept,
      data,
    });
    return recompute();
  };

  app.changeConfig = (id, patch) => {
    const key = net.nodes[id].key;
    net.changedConfigs.set(key, { ...net.changedConfigs.get(key), ...patch });
    return recompute();
  };

  app.changeCell = (id, offset, value) => {
    if (!net.changedCells.has(id)) net.changedCells.set(id, new Map());
    net.changedCells.get(id).set(offset, value);
    return recompute();
  };

  app.resetChanges = () => {
    net.reset();
    return recompute();
  };

  // -- what a map likes best: gradient ascent on the picture --------------------------------------

  app.dreamPanel = (id, at) => {
    const blocked = dreamObstacle(id);
    const unit = at.at(-1);
    if (blocked) return h("p.note", {}, blocked);
    const canvas = h("canvas.map.dream-canvas", {
      role: "img",
      "aria-label": "A picture that the unit answers to strongly",
      width: net.nodes[0].shape[1],
      height: net.nodes[0].shape[0],
    });
    const status = h(
      "p.note",
      { "data-dream": "" },
      dream?.id === id && dream.unit === unit
        ? dream.says
        : "Starts from grey noise and changes the pixels, step by step, so that this number grows (gradient ascent, computed in this page).",
    );
    if (dream?.id === id && dream.unit === unit && dream.picture) {
      canvas.getContext("2d").drawImage(dream.picture, 0, 0);
    }
    return [
      canvas,
      status,
      h(
        "button.primary",
        { "data-focus": "dream", onclick: () => grow(id, unit, canvas, status) },
        "Grow a picture",
      ),
    ];
  };

  function ancestors(id) {
    const found = new Set([id]);
    for (let n = id; n >= 0; n--) {
      if (found.has(n)) for (const input of net.nodes[n].inputs) found.add(input);
    }
    return [...found].sort((a, b) => a - b);
  }

  function dreamObstacle(id) {
    if (id === 0) return "This is the photo itself.";
    const chain = ancestors(id);
    const blocked = chain.map((n) => net.obstacle(n)).find(Boolean);
    if (blocked) return `Not in this page: ${blocked}`;
    return chain.reduce((sum, n) => sum + net.nodes[n].macs, 0) > 4e8
      ? "Not in this page: the layers up to here take too long to compute many times."
      : "";
  }

  async function grow(id, unit, canvas, status) {
    const mine = ++work;
    const chain = ancestors(id);
    const shape = net.nodes[0].shape;
    const [scale, shift] = net.range;
    const low = -shift / scale;
    const high = (255 - shift) / scale;
    const x = array(shape, new Float32Array(size(shape)));
    let seed = 7;
    const random = () => {
      seed = (seed * 1664525 + 1013904223) % 4294967296;
      return seed / 4294967296;
    };
    for (let i = 0; i < x.data.length; i++) {
      x.data[i] = low + (high - low) * (0.47 + 0.06 * random());
    }
    const steps = 32;
    let first = null;
    for (let step = 0; step <= steps; step++) {
      const outs = new Map([[0, { y: x, z: x }]]);
      for (const n of chain.slice(1)) {
        outs.set(
          n,
          await forwardAsync(
            net.layer(n),
            net.nodes[n].inputs.map((k) => outs.get(k).y),
            breathe,
          ),
        );
      }
      const out = outs.get(id);
      const z = out.z ?? out.y;
      const seedGradient = array(z.shape);
      const cells = [];
      for (let o = unit; o < z.data.length; o += z.shape.at(-1)) cells.push(o);
      // The strongest cells pull most (as softmax weighs them), so that the map finds what it is for.
      const values = cells.map((o) => z.data[o]);
      const n = cells.length;
      const value = Math.max(...values);
      const mean = values.reduce((a, b) => a + b) / n;
      const spread = Math.sqrt(values.reduce((s, v) => s + (v - mean) ** 2, 0) / n) || 1;
      cells.forEach((o, k) => {
        seedGradient.data[o] = Math.exp((values[k] - value) / (2 * spread));
      });
      first ??= value;
      if (mine !== work || !canvas.isConnected) return;
      dream = {
        id,
        unit,
        picture: colourPicture(x, net.range),
        says: `After ${step} steps its ${n > 1 ? "largest value" : "value"} is ${fmt(value)}; with grey noise it was ${fmt(first)}. Computed in this page, by gradient ascent.`,
      };
      canvas.getContext("2d").drawImage(dream.picture, 0, 0);
      status.textContent = dream.says;
      if (step === steps) return say(dream.says);
      const got = new Map([[id, seedGradient]]);
      for (const k of [...chain].reverse()) {
        if (k === 0 || !got.has(k)) continue;
        const node = net.nodes[k];
        const layer = net.layer(k);
        const passed = await backwardAsync(
          breathe,
          layer,
          node.inputs.map((i) => outs.get(i).y),
          outs.get(k),
          got.get(k),
          k === id ? got.get(k) : undefined,
        );
        node.inputs.forEach((i, j) => {
          const old = got.get(i);
          const dx = passed.dxs[j];
          got.set(
            i,
            old
              ? array(
                  dx.shape,
                  Float64Array.from(dx.data, (v, o) => v + old.data[o]),
                )
              : dx,
          );
        });
        await breathe();
      }
      const g = got.get(0)?.data;
      const rms = Math.sqrt(g.reduce((s, v) => s + v * v, 0) / g.length) || 1;
      const by = (0.04 * (high - low) * (1 - step / (2 * steps))) / rms;
      for (let i = 0; i < g.length; i++) {
        x.data[i] = Math.max(
          low,
          Math.min(high, x.data[i] + Math.max(-3, Math.min(3, g[i] / rms)) * rms * by),
        );
      }
      if (step % 2 && step < steps - 2) smooth(x);
    }
  }

  // A little blur: without it the picture is all fine noise.
  function smooth(x) {
    const [rows, columns, channels] = x.shape;
    const old = Float32Array.from(x.data);
    const at = (r, c, k) =>
      old[
        (Math.max(0, Math.min(rows - 1, r)) * columns + Math.max(0, Math.min(columns - 1, c))) *
          channels +
          k
      ];
    for (let r = 0; r < rows; r++) {
      for (let c = 0; c < columns; c++) {
        for (let k = 0; k < channels; k++) {
          x.data[(r * columns + c) * channels + k] =
            0.6 * at(r, c, k) +
            0.1 * (at(r - 1, c, k) + at(r + 1, c, k) + at(r, c - 1, k) + at(r, c + 1, k));
        }
      }
    }
  }

  // -- keys ---------------------------------------------------------------------------------------

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) {
      return;
    }
    const typing = ["INPUT", "SELECT"].includes(event.target.tagName);
    const pressing = event.target.tagName === "BUTTON";
    if (event.key === "Escape" && state.view === "layer") return app.overview();
    if (typing) return;
    const channels = looked()?.shape.at(-1) ?? 1;
    const now = (backward_() ? state.inAt : state.at)?.at(-1) ?? 0;
    const inLayer = state.view === "layer";
    const keys = {
      f: () => app.setMode("forward"),
      b: () => app.setMode("backward"),
      ...(inLayer
        ? {
            ".": () => app.move(1),
            ",": () => app.move(-1),
            "[": () => app.chooseMap((now - 1 + channels) % channels),
            "]": () => app.chooseMap((now + 1) % channels),
          }
        : {}),
      ...(inLayer && !pressing
        ? {
            " ": () => app.play(!state.playing),
            Enter: () => root.querySelector('[data-focus="out"], .unit.chosen')?.focus(),
          }
        : {}),
    };
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (keys[key]) {
      event.preventDefault();
      keys[key]();
    }
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", render);
  // What goes to paper is drawn anew, as on a light desktop, and afterwards as it was.
  let chosen;
  addEventListener("beforeprint", () => {
    stop();
    chosen = document.documentElement.dataset.theme;
    document.documentElement.dataset.theme = "light";
    screen_.printing = true;
    render();
  });
  addEventListener("afterprint", () => {
    screen_.printing = false;
    if (chosen) document.documentElement.dataset.theme = chosen;
    else delete document.documentElement.dataset.theme;
    render();
  });
  let resized = 0;
  addEventListener("resize", () => {
    clearTimeout(resized);
    resized = setTimeout(render, 120);
  });
  return Object.assign(app, {
    render,
    array,
    forward,
    backward,
    explain,
    explainInput,
    explainWeight,
  });
}

async function start() {
  const root = document.getElementById("app");
  try {
    const facts = JSON.parse(document.getElementById("data").textContent);
    const bytes = await inflate(document.getElementById("numbers").textContent.trim());
    const app = createApp(new Net(facts, bytes));
    app.render();
    window.page = app; // for the console, and for tests
    root.dataset.ready = "true";
  } catch (error) {
    root.replaceChildren(h("p.loading", {}, `The page cannot be shown: ${error.message}`));
    throw error;
  }
}

start();
