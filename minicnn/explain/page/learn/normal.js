// @ts-check
// Normally distributed numbers as NumPy draws them: the ziggurat (Marsaglia and Tsang 2000), 256
// strips of one area that lie on each other under exp(−x²/2), the lowest with the tail.
const STRIPS = 256;
const EDGE = 3.654152885361009; // where the tail begins
const AREA = 0.004928673233974658; // of a strip

const curve = (x) => Math.exp(-0.5 * x * x);

// The right end of each strip, from the top; that of the lowest as if it were a rectangle.
const ENDS = new Float64Array(STRIPS + 1);
ENDS[STRIPS - 1] = EDGE;
for (let i = STRIPS - 2; i > 0; i--) {
  ENDS[i] = Math.sqrt(-2 * Math.log(AREA / ENDS[i + 1] + curve(ENDS[i + 1])));
}
const wholes = (bits) => {
  const widths = Float64Array.from({ length: STRIPS }, (_, i) =>
    i ? ENDS[i] : AREA / curve(EDGE),
  );
  // Up to here, in steps of a strip's width, a number is surely under the curve.
  const inside = widths.map((w, i) => Math.floor(((i ? ENDS[i - 1] : EDGE) / w) * 2 ** bits));
  return { steps: widths.map((w) => w / 2 ** bits), inside };
};
const WIDE = wholes(52);
const NARROW = wholes(23);
const HEIGHTS = Float64Array.from({ length: STRIPS }, (_, i) => (i ? curve(ENDS[i]) : 1));

/**
 * @param {{strip: number, sign: boolean, steps: number}} drawn
 * @param {{steps: Float64Array, inside: Float64Array}} table
 * @param {() => number} random draws a number in [0, 1)
 * @returns {number | null} null if another one must be drawn
 */
function placed({ strip, sign, steps }, table, random) {
  const x = steps * table.steps[strip] * (sign ? -1 : 1);
  if (steps < table.inside[strip]) return x;
  if (strip) {
    const height = (HEIGHTS[strip - 1] - HEIGHTS[strip]) * random() + HEIGHTS[strip];
    return height < curve(x) ? x : null;
  }
  for (;;) {
    const beyond = -Math.log1p(-random()) / EDGE;
    const above = -Math.log1p(-random());
    const below = Math.floor(steps / 256) % 2 === 1;
    if (2 * above > beyond * beyond) return below ? -(EDGE + beyond) : EDGE + beyond;
  }
}

// `standard_normal()` in NumPy, of a Generator.
export function normal(generator) {
  for (;;) {
    const bits = generator.next64();
    const drawn = {
      strip: Number(bits & 255n),
      sign: (bits & 256n) !== 0n,
      steps: Number((bits >> 9n) & 0xfffffffffffffn),
    };
    const found = placed(drawn, WIDE, () => generator.random());
    if (found !== null) return found;
  }
}

// `standard_normal(dtype=np.float32)`.
export function normal32(generator) {
  for (;;) {
    const bits = generator.next32();
    const drawn = { strip: bits & 255, sign: (bits & 256) !== 0, steps: bits >>> 9 };
    const found = placed(drawn, NARROW, () => generator.random32());
    if (found !== null) return Math.fround(found);
  }
}
