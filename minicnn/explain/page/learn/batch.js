// @ts-check
// A batch goes through the network and back, layer by layer: the loss, and the gradient of every
// weight that learns.
import { array } from "page/engine/arrays.js";
import { lossAtLogits, lossAtOutput, probabilities } from "page/engine/loss.js";
import { backward, forward } from "page/engine/passes.js";
import { IN_TRAINING } from "page/learn/training.js";

// A layer as engine/passes.js wants it, with the weights of now.
export function layerOf(node, weights) {
  const params = {};
  for (const name of node.params) params[name] = weights.get(`${node.key}/${name}`);
  return { type: node.type, config: node.config, params, parts: node.parts };
}

// The outputs of all layers up to `last` for one image, when nothing trains.
export function look(net, weights, x, last = net.output) {
  const outs = [x];
  for (const node of net.nodes.slice(1, last + 1)) {
    outs[node.id] = forward(
      layerOf(node, weights),
      node.inputs.map((i) => outs[i]),
    ).y;
  }
  return outs;
}

// The outputs of all layers for a batch in training: outs[layer][example], and what the layers of
// learn/training.js keep.
function forwardAll(net, weights, xs, random) {
  const outs = [xs.map((y) => ({ y }))];
  const kept = [];
  for (const node of net.nodes.slice(1)) {
    const layer = layerOf(node, weights);
    if (node.alters) {
      const given = outs[node.inputs[0]].map((out) => out.y);
      const found = IN_TRAINING[node.type].forward({ layer, xs: given, random: random(node) });
      outs[node.id] = found.ys.map((y) => ({ y }));
      kept[node.id] = found.kept;
    } else {
      outs[node.id] = xs.map((_, n) =>
        forward(
          layer,
          node.inputs.map((i) => outs[i][n].y),
        ),
      );
    }
  }
  return { outs, kept };
}

const add = (a, b) => {
  if (!a) return b;
  for (let i = 0; i < a.data.length; i++) a.data[i] += b.data[i];
  return a;
};

const copied = (a) => array(a.shape, Float64Array.from(a.data));

// Which layers a gradient must reach: those that learn, and those behind them.
function reached(net) {
  const found = net.nodes.map((node) => node.learns.length > 0);
  for (const node of net.nodes) found[node.id] ||= node.inputs.some((i) => found[i]);
  return found;
}

// What backward starts from, of one example of n.
function start(net, out, target, n) {
  const p = probabilities(net.kind, out.y);
  const scaled = (a) =>
    array(
      a.shape,
      Float64Array.from(a.data, (v) => v / n),
    );
  const dz = scaled(array(out.y.shape, lossAtLogits(net.kind, p, target)));
  return { dz, dy: net.kind === "logits" ? dz : scaled(lossAtOutput(net.kind, out.y, target)) };
}

/**
 * The loss of a batch, the probability of each example's class, and the gradients by weight:
 * `grads`. `watch`, {key, name, offset}: a weight for which `shares` gets each example's part.
 *
 * @param {any} given
 */
export function trainOn({ net, weights, xs, targets, random, watch = null }) {
  const n = xs.length;
  const { outs, kept } = forwardAll(net, weights, xs, random);
  const ps = outs[net.output].map((out) => probabilities(net.kind, out.y));
  const chances = ps.map((p, i) => p[targets[i]]);
  const right = ps.map((p, i) => p.every((v) => v <= p[targets[i]]));
  const grads = new Map();
  const shares = new Float64Array(n);
  const take = (node, found, example) => {
    for (const name of node.learns) {
      const key = `${node.key}/${name}`;
      if (watch?.key === key && example !== null) {
        shares[example] += found[name].data[watch.offset];
      }
      grads.set(key, add(grads.get(key), found[name]));
    }
  };
  const wanted = reached(net);
  const dys = net.nodes.map(() => []);
  const send = (node, example, dxs) =>
    node.inputs.forEach((input, k) => {
      if (!wanted[input]) return;
      const old = dys[input][example];
      dys[input][example] = old ? add(copied(old), dxs[k]) : dxs[k];
    });
  for (const node of [...net.nodes].reverse()) {
    if (!wanted[node.id] || node.id === 0) continue;
    const layer = layerOf(node, weights);
    if (node.alters) {
      const given = outs[node.inputs[0]].map((out) => out.y);
      const about = { layer, xs: given, dys: dys[node.id], kept: kept[node.id] };
      const kind = IN_TRAINING[node.type];
      const found = kind.backward(about);
      take(node, found.grads, null);
      found.dxs.forEach((dx, example) => send(node, example, [dx]));
      if (node.learns.some((name) => watch?.key === `${node.key}/${name}`)) {
        for (let i = 0; i < n; i++) shares[i] += kind.share({ ...about, ...watch, n: i });
      }
      continue;
    }
    for (let i = 0; i < n; i++) {
      const out = outs[node.id][i];
      const inputs = node.inputs.map((k) => outs[k][i].y);
      const last = node.id === net.output ? start(net, out, targets[i], n) : null;
      const dy = last ? last.dy : dys[node.id][i];
      if (!dy) continue;
      const exact = last && net.kind !== "logits" ? [last.dz] : [];
      const found = backward(layer, inputs, { ...out, z: out.z ?? out.y }, dy, ...exact);
      take(node, found.grads, i);
      send(node, i, found.dxs);
    }
  }
  const loss = chances.reduce((sum, p) => sum - Math.log(Math.max(p, 1e-38)), 0) / n;
  return { loss, chances, right, grads, shares };
}

// What a regularizer adds to the loss, and to the gradient of a number.
export function penaltyOf(config, name) {
  const found = config[`${name}_regularizer`];
  if (!found) return null;
  const { l1 = 0, l2 = 0 } = found.config;
  return {
    value: (data) => data.reduce((sum, w) => sum + l1 * Math.abs(w) + l2 * w * w, 0),
    slope: (w) => l1 * Math.sign(w) + 2 * l2 * w,
  };
}
