// @ts-check
// What runs in the worker: a Learner, driven by messages. Each message is answered with
// what the view shows.
import { Learner } from "page/learn/learner.js";
import { setWords } from "page/words.js";

/** @type {Learner} */
let learner;
let images = [];
/** @type {{id: number, x: Tensor} | null} */
let shown = null; // the maps of which layer are shown, and for which image

function report(started) {
  const { history, step, state } = learner;
  return {
    step,
    milliseconds: performance.now() - started,
    history: history.map(({ loss, accuracy, rate }) => ({ loss, accuracy, rate })),
    batch: step ? history[step - 1] : null,
    weights: [...state.weights].map(([key, { shape, data }]) => [key, shape, data]),
    explanation: learner.explanation(),
    maps: shown && learner.maps(shown.id, shown.x),
  };
}

const ACTIONS = {
  start({ words: { tables, language }, net, weights, xs, ...settings }) {
    setWords(tables, language);
    images = xs;
    learner = new Learner({ net, xs, weights: new Map(weights), ...settings });
  },
  step: ({ count }) => learner.go(Math.max(0, learner.step + count)),
  go: ({ step }) => learner.go(step),
  rate: ({ rate }) => learner.setRate(rate),
  watch: ({ key, offset }) => learner.watch(key, offset),
  show: ({ id, example, photo }) => {
    shown = { id, x: photo ?? images[example] };
  },
};

addEventListener("message", ({ data }) => {
  const started = performance.now();
  try {
    ACTIONS[data.action](data);
    postMessage({ answers: data.number, report: report(started) });
  } catch (error) {
    postMessage({ answers: data.number, error: error.message });
  }
});
