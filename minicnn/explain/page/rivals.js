// @ts-check
// Other networks that look at the same photos: those that the page was made with, and the network
// at other times of its training.
import { Net } from "page/net.js";

/**
 * @param {Facts} facts
 * @param {Uint8Array} bytes
 * @returns {Rival[]}
 */
export function rivalsOf(facts, bytes) {
  const given = (facts.against ?? []).map((own) => {
    const photos = facts.photos.map((photo, k) => ({ ...photo, at: own.pixels[k] }));
    const whole = { ...facts, ...own, model: own.name, photos };
    const made = rival(own.name, whole, bytes, own.pairs);
    return { ...made, asked: true, norms: own.norms ?? {} };
  });
  // A page with some of the kernels shows checkpoints, but computes no network from the photo on.
  const cut = facts.nodes.some((node) => Object.values(node.params).some(({ kept }) => kept));
  const earlier = (cut ? [] : (facts.checkpoints ?? [])).map(({ name, weights }) => {
    const nodes = facts.nodes.map((node) => withWeights(node, weights));
    const pairs = nodes.map((_, id) => [id, id]);
    return rival(name, { ...facts, nodes, stored: 0 }, bytes, pairs);
  });
  return [...given, ...earlier];
}

function rival(name, facts, bytes, pairs) {
  const net = new Net({ ...facts, learning: undefined, checkpoints: [] }, bytes);
  const back = new Map(pairs.map(([a, b]) => [b, a]));
  return { name, net, pairs: new Map(pairs), back, asked: false, norms: {} };
}

// The network to compare with if the reader has not chosen what; null: another photo.
export const usualRival = ({ net, rivals }) =>
  rivals.length && (rivals[0].asked || net.photos.length < 2) ? 0 : null;

function withWeights(node, weights) {
  const params = {};
  for (const [name, own] of Object.entries(node.params)) {
    const found = weights[[...node.path, node.layer, name].join("/")];
    params[name] = found ? { ...found, kept: null } : own;
  }
  return { ...node, params };
}
