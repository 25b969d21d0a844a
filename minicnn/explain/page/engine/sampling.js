// @ts-check
// Images of another size: which pixels of the old image make a pixel of the new one, and how much
// each of them counts. Rows and columns are independent. Taps are lists of [place, weight], one
// list for each place of the result. functional/resizing.py says why positions are rounded.
const f32 = Math.fround;
const RADIUS = { bilinear: 1, bicubic: 2, lanczos3: 3, lanczos5: 5 };

const cubic = (d) => {
  if (d >= 2) return 0;
  return d >= 1 ? ((-0.5 * d + 2.5) * d - 4) * d + 2 : (1.5 * d - 2.5) * d * d + 1;
};

function kernel(interpolation, d) {
  if (interpolation === "bilinear") return Math.max(1 - d, 0);
  if (interpolation === "bicubic") return cubic(d);
  const radius = RADIUS[interpolation];
  if (d > radius) return 0;
  const angle = Math.PI * d;
  return d <= 1e-3 ? 1 : (radius * Math.sin(angle) * Math.sin(angle / radius)) / angle ** 2;
}

function normalized(taps) {
  const total = taps.reduce((sum, [, weight]) => sum + weight, 0);
  return taps.map(([place, weight]) => [place, weight / total]);
}

const clip = (v, size) => Math.min(Math.max(v, 0), size - 1);

// The nearest whole number, the even one of two: as NumPy rounds.
const even = (v) => (Math.abs(v % 1) === 0.5 ? 2 * Math.round(v / 2) : Math.round(v));

function tapsOf(i, from, to, interpolation, antialias) {
  if (interpolation === "nearest") {
    return [[Math.min(Math.floor(f32(f32(i + 0.5) * f32(from / to))), from - 1), 1]];
  }
  const middle = f32(f32(f32(i + 0.5) * f32(from / to)) - 0.5);
  const first = Math.floor(middle);
  if (interpolation === "bilinear" && !antialias) {
    const share = middle - first;
    const [low, high] = [Math.max(first, 0), Math.min(Math.ceil(middle), from - 1)];
    return low === high
      ? [[low, 1]]
      : [
          [low, 1 - share],
          [high, share],
        ];
  }
  if (interpolation === "bicubic" && !antialias) {
    const share = even((middle - first) * 1024) / 1024;
    const near = [-1, 0, 1, 2].map((k) => [first + k, cubic(Math.abs(share - k))]);
    return normalized(near.filter(([place]) => place >= 0 && place < from));
  }
  const inverse = f32(1 / f32(to / from));
  const stretch = antialias ? Math.max(inverse, 1) : 1;
  const centre = f32(f32(i + 0.5) * inverse);
  const reach = f32(RADIUS[interpolation] * stretch);
  const start = clip(Math.ceil(f32(f32(centre - reach) - 0.5)), from);
  const end = clip(Math.floor(f32(f32(centre + reach) - 0.5)), from);
  const taps = [];
  for (let j = start; j <= end; j++) {
    taps.push([j, kernel(interpolation, Math.abs(j + 0.5 - centre) / stretch)]);
  }
  return normalized(taps);
}

function axisTaps(from, to, before, size, c) {
  return Array.from({ length: to }, (_, i) =>
    tapsOf(i, size, to, c.interpolation ?? "bilinear", c.antialias)
      .map(([place, weight]) => [place + before, weight])
      .filter(([place, weight]) => place >= 0 && place < from && weight !== 0),
  );
}

// {rows, columns, fill} of an image of shape `from` that is resized to `to`.
export function resized(from, to, c) {
  const other = [Math.floor((from[1] * to[0]) / to[1]), Math.floor((from[0] * to[1]) / to[0])];
  const [rows, columns] = [0, 1].map((axis) => {
    let size = from[axis];
    let before = 0;
    if (c.crop_to_aspect_ratio) {
      size = Math.max(Math.min(size, other[axis]), 1);
      before = (from[axis] - size) >> 1;
    } else if (c.pad_to_aspect_ratio) {
      before = -(Math.max(other[axis] - size, 0) >> 1);
      size -= 2 * before;
    }
    return axisTaps(from[axis], to[axis], before, size, c);
  });
  return { rows, columns, fill: c.fill_value ?? 0 };
}

// `to` windows, which may overlap, divide an image of shape `from`; each takes its mean.
export function windowed(from, to) {
  const [rows, columns] = [0, 1].map((axis) =>
    Array.from({ length: to[axis] }, (_, i) => {
      const first = Math.floor((i * from[axis]) / to[axis]);
      const size = Math.ceil(((i + 1) * from[axis]) / to[axis]) - first;
      return [...Array(size).keys()].map((k) => [first + k, 1 / size]);
    }),
  );
  return { rows, columns, fill: 0 };
}

// The part of an image that starts at `before`.
export function cropped(before, to) {
  const taps = (axis) => Array.from({ length: to[axis] }, (_, i) => [[i + before[axis], 1]]);
  return { rows: taps(0), columns: taps(1), fill: 0 };
}
