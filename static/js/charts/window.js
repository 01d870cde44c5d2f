// The window of time that the Gantt chart shows, in the whole from the first start to the last finish.

/** @typedef {{ first: number, last: number, window_from: number, window_to: number }} Window */

/**
 * The nearest window of the same length that lies in the whole; at least a second, at most everything.
 * @param {Window} window
 * @param {number} from
 * @param {number} to
 * @returns {[number, number]}
 */
export function inside({ first, last }, from, to) {
  const length = Math.min(Math.max(to - from, 1), last - first);
  const begin = Math.min(Math.max(from, first), last - length);
  return [begin, begin + length];
}

/**
 * A quarter of the window earlier or later, half as wide, twice as wide, or everything.
 * @param {Window} window
 * @param {string} where
 * @returns {[number, number]}
 */
export function stepped({ first, last, window_from: from, window_to: to }, where) {
  const step = (to - from) / 4;
  if (where === "earlier") return [from - step, to - step];
  if (where === "later") return [from + step, to + step];
  if (where === "closer") return [from + step, to - step];
  if (where === "wider") return [from - 2 * step, to + 2 * step];
  return [first, last];
}

/**
 * The window `factor` times as wide around what lies at `share` of it, which stays where it is.
 * @param {Window} window
 * @param {number} share
 * @param {number} factor
 * @returns {[number, number]}
 */
export function zoomed({ window_from: from, window_to: to }, share, factor) {
  const at = from + (to - from) * Math.min(1, Math.max(0, share));
  return [at - (at - from) * factor, at + (to - at) * factor];
}

/** @param {Window} window */
export function isWhole({ first, last, window_from: from, window_to: to }) {
  return from <= first && to >= last;
}
