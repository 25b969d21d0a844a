// @ts-check
// The numbers that Keras draws from a seed, as minicnn/_support/philox.py makes them: Philox
// (Salmon et al. 2011) scrambles a counter of four words of 32 bits with a key of two.
const MULTIPLIERS = [0xd2511f53, 0xcd9e8d57];
const STEPS = [0x9e3779b9, 0xbb67ae85];
/** @type {[number, number]} */
const KEY_OF_SEEDS = [0x3ec8f720, 0x02461e29];
const TINY = Math.fround(1e-7);
const RESERVED = 256; // groups of words of the stream, for each group of truncated numbers

const { fround } = Math;

// The upper 32 bits of a product of two words.
function upper(a, b) {
  const low = (a & 0xffff) * (b & 0xffff);
  const first = (a >>> 16) * (b & 0xffff) + (low >>> 16);
  const second = (a & 0xffff) * (b >>> 16) + (first % 65536);
  return (a >>> 16) * (b >>> 16) + Math.floor(first / 65536) + Math.floor(second / 65536);
}

const lower = (a, b) => Math.imul(a, b) >>> 0;

function scrambled([a, b, c, d], [k, m]) {
  for (let round = 0; round < 10; round++) {
    const first = [upper(MULTIPLIERS[0], a), lower(MULTIPLIERS[0], a)];
    const second = [upper(MULTIPLIERS[1], c), lower(MULTIPLIERS[1], c)];
    [a, b] = [(second[0] ^ b ^ k) >>> 0, second[1]];
    [c, d] = [(first[0] ^ d ^ m) >>> 0, first[1]];
    k = (k + STEPS[0]) >>> 0;
    m = (m + STEPS[1]) >>> 0;
  }
  return [a, b, c, d];
}

// A function from a number to the fractions in [0, 1) of that group of four words of the stream.
function streamOf(seed) {
  const [k, m, c, d] = scrambled([seed, 0, 0, 0], KEY_OF_SEEDS);
  return (n) =>
    scrambled([n >>> 0, Math.floor(n / 2 ** 32), c, d], [k, m]).map(
      (word) => (word & 0x7fffff) / 2 ** 23,
    );
}

// Two normally distributed numbers of each two fractions (Box and Muller 1958).
function pair(fraction, next) {
  const angle = fround(2 * Math.PI * next);
  const radius = fround(Math.sqrt(fround(-2 * fround(Math.log(Math.max(fraction, TINY))))));
  return [fround(fround(Math.sin(angle)) * radius), fround(fround(Math.cos(angle)) * radius)];
}

const normals = ([a, b, c, d]) => [...pair(a, b), ...pair(c, d)];

function withinTwo(stream, group) {
  const found = [];
  for (let n = group * RESERVED; found.length < 4; n++) {
    found.push(...normals(stream(n)).filter((y) => Math.abs(y) < 2));
  }
  return found;
}

const GROUPS = {
  uniform: (stream, n) => stream(n),
  normal: (stream, n) => normals(stream(n)),
  truncated: withinTwo,
};

/**
 * @param {"uniform" | "normal" | "truncated"} kind
 * @param {number} seed from 0 to 2**31 - 3
 * @param {[number, number]} limits the lowest and the highest number, or the mean and the stddev
 * @param {Float32Array} data to be filled
 */
export function fillFromSeed(kind, seed, limits, data) {
  const [first, second] = limits.map(fround);
  const [scale, offset] = kind === "uniform" ? [fround(second - first), first] : [second, first];
  const stream = streamOf(seed);
  for (let i = 0; i < data.length; i += 4) {
    const group = GROUPS[kind](stream, i / 4);
    for (let k = 0; k < 4 && i + k < data.length; k++) {
      data[i + k] = fround(fround(group[k] * scale) + offset);
    }
  }
}
