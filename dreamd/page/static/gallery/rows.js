// Pictures of any shape in rows that are full, each as high as its row: none is cut, and no row is much higher than others.

const NARROWEST = 0.45;
const WIDEST = 3;
const UNKNOWN = 4 / 3;

/** The space between two pictures, in pixels. */
const GAP = 8;

/** Width by height of a result as it is shown: what is extreme stands in a box that is less so. */
export const ratioOf = ({ width, height }) => (width && height ? Math.min(WIDEST, Math.max(NARROWEST, width / height)) : UNKNOWN);

/** How high a row should be where there is so much room, in pixels. */
export const rowHeight = (width) => Math.min(250, Math.max(118, width / 5));

/**
 * Where rows end, so that their heights differ least from the one that is wanted: `[{count, height}, …]`.
 * The last row of the end of a list need not be full.
 */
export function rows(ratios, width, { wanted = rowHeight(width), isEnd = false } = {}) {
  const cost = [0];
  const from = [0];
  const heights = [0];
  for (let end = 1; end <= ratios.length; end += 1) {
    cost[end] = Infinity;
    let sum = 0;
    for (let start = end - 1; start >= 0; start -= 1) {
      sum += ratios[start];
      const full = (width - GAP * (end - start - 1)) / sum;
      const isLoose = isEnd && end === ratios.length && full > wanted;
      const height = isLoose ? wanted : full;
      const total = cost[start] + Math.log(Math.max(height, 1) / wanted) ** 2;
      if (total < cost[end]) [cost[end], from[end], heights[end]] = [total, start, height];
      if (full < wanted / 2) break;
    }
  }
  const found = [];
  for (let end = ratios.length; end > 0; end = from[end]) found.unshift({ count: end - from[end], height: heights[end] });
  return found;
}

/** Gives the items of a list their widths; returns how high the list is. Their shapes give them their heights. */
export function layOut(items, ratios, width, options) {
  const found = rows(ratios, width, options);
  let at = 0;
  for (const { count, height } of found) {
    const gaps = GAP * (count - 1);
    for (let end = at + count; at < end; at += 1) {
      const share = (ratios[at] * height) / (width - gaps);
      // A hair less than their part: rounded up, the last one would have no room in its row.
      items?.[at]?.style.setProperty("width", `calc((100% - ${gaps}px) * ${share.toFixed(6)} - 0.06px)`);
      items?.[at]?.style.setProperty("--ratio", ratios[at].toFixed(5));
      items?.[at]?.querySelector("img[srcset]")?.setAttribute("sizes", `${Math.round(ratios[at] * height)}px`);
    }
  }
  return found.reduce((sum, { height }) => sum + height, GAP * Math.max(0, found.length - 1));
}
