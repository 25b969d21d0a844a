// @ts-check
// Where the cards of the overview are: how wide, and how many maps each shows, so that the window
// is full and not more.
import { screen_ } from "page/draw.js";

const LEAST_COLUMN = 96; // pixels, with the gap before the next one
const AROUND = 88; // pixels of a card that are not maps: its name, its class, its foot
const PANEL = 330; // pixels of the classes and of the margins
const HEAD = 165; // pixels above and below the network
const MINIMAP = 36;

// `items` are layers or collapsed blocks, each in a column and a lane.
export function planOf(net, items) {
  const lanes = Math.max(...items.map((i) => i.lane)) + 1;
  const columns = Math.max(...items.map((i) => i.column)) + 1;
  const narrow = screen_.width < 821;
  const room = screen_.width - (narrow ? 0 : PANEL);
  // As wide as the window allows if all columns fit into it; otherwise they scroll.
  const fits = !narrow && columns * LEAST_COLUMN <= room;
  const scrolls = !fits && !screen_.printing;
  const tall = Math.max(360, screen_.height - HEAD - (scrolls ? MINIMAP : 0));
  const gap = fits ? gapFor(room / columns) : items.some((i) => i.collapsed) ? 70 : 58;
  const wide = fits
    ? Math.floor(Math.min(room / columns - gap, Math.max(64, (tall - lanes * AROUND) / 5 - 4)))
    : narrow
      ? 56
      : tall > 760
        ? 80
        : 64;
  const rows = Math.floor((tall - lanes * AROUND) / (wide + 4)); // of maps, in all lanes together
  const many = narrow
    ? Array(lanes).fill(lanes > 1 ? 2 : 4)
    : mapsOfLanes(net, items, { lanes, columns, rows });
  const tops = [0];
  for (const n of many) tops.push(tops[tops.length - 1] + n * (wide + 4) + AROUND - 2);
  const middle = (lane) => tops[lane] + 44 + (many[lane] * (wide + 4)) / 2;
  return { lanes, columns, room, scrolls, gap, wide, many, stepX: wide + gap, tops, middle };
}

const gapFor = (step) => (step > 220 ? 84 : step > 150 ? 64 : 50);

// How many maps a card of each lane shows: a lane with few cards gets few, and the others share
// what is left.
function mapsOfLanes(net, items, { lanes, columns, rows }) {
  const maps = (item) => (net.shape(item.id).length === 3 ? net.shape(item.id)[2] : 2);
  const found = Array.from({ length: lanes }, (_, lane) => {
    const here = items.filter((item) => item.lane === lane);
    return { few: lane > 0 && here.length * 3 <= columns, most: Math.max(2, ...here.map(maps)) };
  });
  const least = rows >= 4 * lanes ? 2 : 1;
  const left = rows - found.reduce((n, { few }) => n + (few ? least : 0), 0);
  const share = Math.floor(left / found.filter(({ few }) => !few).length);
  return found.map(({ few, most }) => (few ? least : Math.max(2, Math.min(12, most, share))));
}
