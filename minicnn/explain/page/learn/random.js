// @ts-check
// NumPy's generator `default_rng(seed)`: a seed is stirred into 256 bits (SeedSequence), from which
// PCG64 goes on (O'Neill 2014). The same seed gives the same numbers as in Python.
const INIT_A = 0x43b0d7e5;
const MULT_A = 0x931e8875;
const INIT_B = 0x8b51f9dd;
const MULT_B = 0x58f38ded;
const MIX_LEFT = 0xca01f9dd;
const MIX_RIGHT = 0x4973f715;
const POOL = 4;

const MULTIPLIER = (2549297995355413924n << 64n) + 4865540595714422341n;
const wide = (v) => BigInt.asUintN(128, v);
const fold = (v) => (v ^ (v >>> 16)) >>> 0;

// Hashes one number after the other, each with another constant.
function hasher(start, multiplier) {
  let constant = start;
  return (value) => {
    const mixed = (value ^ constant) >>> 0;
    constant = Math.imul(constant, multiplier) >>> 0;
    return fold(Math.imul(mixed, constant));
  };
}

// The eight 32-bit numbers that SeedSequence makes of a seed below 2**32.
function stirred(seed) {
  const hash = hasher(INIT_A, MULT_A);
  const pool = Array.from({ length: POOL }, (_, i) => hash(i ? 0 : seed));
  const mix = (x, y) => fold(Math.imul(MIX_LEFT, x) - Math.imul(MIX_RIGHT, y));
  for (let from = 0; from < POOL; from++) {
    for (let to = 0; to < POOL; to++) {
      if (from !== to) pool[to] = mix(pool[to], hash(pool[from]));
    }
  }
  const last = hasher(INIT_B, MULT_B);
  return Array.from({ length: 2 * POOL }, (_, i) => last(pool[i % POOL]));
}

export class Generator {
  /** @param {number} seed from 0 to 2**32 - 1 */
  constructor(seed) {
    const words = stirred(seed).map(BigInt);
    const pair = (i) => words[i] | (words[i + 1] << 32n);
    const start = (pair(0) << 64n) | pair(2);
    this.increment = wide((((pair(4) << 64n) | pair(6)) << 1n) | 1n);
    this.state = 0n;
    this.half = null; // the second half of the 64 bits drawn last, if it waits
    this.move();
    this.state = wide(this.state + start);
    this.move();
  }

  copy() {
    return Object.assign(Object.create(Generator.prototype), this);
  }

  move() {
    this.state = wide(this.state * MULTIPLIER + this.increment);
  }

  next64() {
    this.move();
    const mixed = (this.state >> 64n) ^ (this.state & 0xffffffffffffffffn);
    const by = this.state >> 122n;
    return BigInt.asUintN(64, (mixed >> by) | (mixed << (64n - by)));
  }

  next32() {
    if (this.half !== null) {
      const { half } = this;
      this.half = null;
      return half;
    }
    const both = this.next64();
    this.half = Number(both >> 32n);
    return Number(both & 0xffffffffn);
  }

  // A number in [0, 1): `random()` in NumPy, and `random(dtype=np.float32)`.
  random() {
    return Number(this.next64() >> 11n) / 9007199254740992;
  }

  random32() {
    return (this.next32() >>> 8) / 16777216;
  }

  // A whole number from 0 to `most`, below 2**32: `integers(most + 1)` (Lemire 2019).
  integer(most) {
    if (most === 0) return 0;
    const count = BigInt(most + 1);
    const unfair = BigInt(0xffffffff - most) % count;
    for (;;) {
      const product = BigInt(this.next32()) * count;
      if ((product & 0xffffffffn) >= unfair) return Number(product >> 32n);
    }
  }

  // The same as shuffles draw it: of as many bits as `most` has, until it is not above it.
  masked(most) {
    const bits = Math.clz32(most);
    for (;;) {
      const drawn = (this.next32() << bits) >>> bits;
      if (drawn <= most) return drawn;
    }
  }

  // The numbers from 0 to count − 1 in another order.
  permutation(count) {
    const order = Array.from({ length: count }, (_, i) => i);
    for (let i = count - 1; i > 0; i--) {
      const j = this.masked(i);
      [order[i], order[j]] = [order[j], order[i]];
    }
    return order;
  }

  uniform(low, high) {
    return low + (high - low) * this.random();
  }
}
