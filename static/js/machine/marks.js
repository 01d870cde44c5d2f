// Where on the drawing of a schedule an instant, a reservation and a plan lie.

/**
 * The window that shows an instant: the same while it lies well inside, else one of the same length around it.
 * @param {[number, number]} window
 * @param {number} time
 * @param {[number, number]} whole
 * @returns {[number, number]}
 */
export function windowOf([from, to], time, [low, high]) {
  const length = Math.min(to - from, high - low);
  const inner = length / 10;
  if (time >= from + (from > low ? inner : 0) && time <= to - (to < high ? inner : 0)) return [from, to];
  // What comes is looked at more often than what was.
  const begin = Math.min(Math.max(time - length / 4, low), high - length);
  return [begin, begin + length];
}

/**
 * Gives each plan [task, cores, from, to] the lowest processors that no other one has at that time: [low, high].
 * @param {[number, number, number, number][]} plans
 */
export function stacked(plans) {
  /** @type {{ from: number, to: number, low: number, high: number }[]} */
  const placed = [];
  return plans.map(([, cores, from, to]) => {
    const beside = placed.filter((one) => one.from < to && one.to > from).sort((a, b) => a.low - b.low);
    let low = 0;
    for (const one of beside) {
      if (one.low - low >= cores) break;
      low = Math.max(low, one.high);
    }
    placed.push({ from, to, low, high: low + cores });
    return [low, low + cores];
  });
}
