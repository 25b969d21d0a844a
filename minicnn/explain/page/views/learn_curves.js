// @ts-check
// The curves of loss and accuracy, and the photos of the last batch.
import { fmt, h, percent } from "page/draw.js";
import { inputPicture } from "page/views/pictures.js";
import { words } from "page/words.js";

const WIDTH = 300;
const LEFT = 36;
const BOTTOM = 16;

export function curves(app) {
  const { course } = app;
  const history = course.report?.history ?? [];
  const pass = Math.ceil(course.images?.length / course.choice.batch) || 1;
  const of = (name) => history.map((step) => step[name]);
  return [
    chart(course, of("loss"), pass, {
      name: words("learn.loss"),
      text: fmt,
      tick: (v) => (v < 0.1 ? String(Number(v.toPrecision(2))) : fmt(v)),
      height: 132,
    }),
    chart(course, of("accuracy"), pass, {
      name: words("learn.accuracy"),
      text: percent,
      tick: whole,
      height: 104,
      top: 1,
    }),
    history.length && !Number.isFinite(history[Math.max(0, course.step - 1)].loss)
      ? h("p.reason", {}, words("learn.diverged"))
      : null,
    h("p.note", {}, words("learn.curves_note", { n: pass, photos: course.facts.y.length })),
    batchPhotos(app),
  ];
}

const whole = (v) => `${Math.round(100 * v)} %`;

// The mean of the last `n` values at each place.
function means(values, n) {
  let sum = 0;
  return values.map((v, i) => {
    sum += v - (i >= n ? values[i - n] : 0);
    return sum / Math.min(n, i + 1);
  });
}

function chart({ step }, values, pass, { name, text, tick, height, top = 0 }) {
  const known = values.filter(Number.isFinite);
  const most = top || (known.length ? Math.max(1e-3, ...known) : 1);
  const x = (i) => LEFT + ((WIDTH - LEFT - 6) * i) / Math.max(1, values.length - 1);
  const share = (v) => (Number.isFinite(v) ? Math.min(v, most) / most : 1);
  const y = (v) => 8 + (height - BOTTOM - 8) * (1 - share(v));
  const line = (list) => list.map((v, i) => `${x(i).toFixed(1)},${y(v).toFixed(1)}`);
  const smooth = means(values, pass);
  const now = step ? smooth[step - 1] : NaN;
  const said = step ? `${name} ${text(values[step - 1])}` : name;
  const about = step
    ? words("learn.curve", { name, first: text(values[0]), value: text(values[step - 1]), k: step })
    : words("learn.curve_empty", { name });
  return h(
    "figure.learn-chart",
    {},
    h(
      "figcaption",
      {},
      said,
      h("small", {}, step ? words("learn.mean", { value: text(now) }) : words("learn.no_step")),
    ),
    h(
      "svg",
      { viewBox: `0 0 ${WIDTH} ${height}`, role: "img", "aria-label": about },
      [0, most / 2, most].map((v) => [
        h("line", { x1: LEFT, x2: WIDTH - 6, y1: y(v), y2: y(v), class: "axis" }),
        h("text", { x: LEFT - 5, y: y(v) + 4, class: "tick-text end" }, tick(v)),
      ]),
      [...new Set([1, values.length])]
        .filter((n) => n > 0 && n <= values.length)
        .map((n) => h("text", { x: x(n - 1), y: height - 3, class: "tick-text" }, n)),
      h("polyline", { points: line(values).join(" "), class: "each" }),
      h("polyline", { points: line(smooth).join(" "), class: "graph" }),
      step
        ? h("line", { x1: x(step - 1), x2: x(step - 1), y1: 6, y2: height - BOTTOM, class: "drop" })
        : null,
      step
        ? h("circle", { cx: x(step - 1), cy: y(values[step - 1]), r: 3.5, class: "point" })
        : null,
    ),
  );
}

// A photo of the data, as a canvas.
export function thumbnail(app, example) {
  return inputPicture(app.net, app.course.images[example]);
}

function batchPhotos(app) {
  const { course, net } = app;
  const { report } = course;
  if (!report?.batch) return null;
  const { examples, chances } = report.batch;
  const photo = (example, n) => {
    const label = net.className(course.facts.y[example]);
    const shown = course.shown.example === example;
    const says = words("learn.chance", { name: label, p: percent(chances[n]) });
    const focus = `learn-photo-${n}`;
    const onclick = () => course.show({ example: shown ? -1 : example });
    return h(
      `button.learn-photo${shown ? ".chosen" : ""}`,
      {
        title: says,
        "aria-label": says,
        "aria-pressed": String(shown),
        "data-focus": focus,
        onclick,
      },
      thumbnail(app, example),
      h("small", {}, percent(chances[n])),
    );
  };
  return h(
    "div.learn-batch",
    { role: "group", "aria-label": words("learn.photos") },
    h("h3", {}, words("learn.photos_title")),
    h("div.learn-photos", {}, examples.slice(0, 32).map(photo)),
  );
}
