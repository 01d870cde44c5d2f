// The points of a race that a browser keeps: never more of a line than a screen shows, however long the race is.
const MOST_POINTS = 600;

export class RaceSeries {
  constructor(keys) {
    this.lines = new Map(keys.map((key) => [key, new Map()])); // figure -> policy -> {x, y}
    this.first = null;
  }

  forget() {
    for (const lines of this.lines.values()) lines.clear();
    this.first = null;
  }

  /**
   * What the race came to before the page was opened, in front of what was seen since.
   * @param {import("./messages").HistoryMessage} history
   */
  restore({ clock_time: clocks, policies }) {
    if (!clocks.length) return;
    const seen = this.first ?? clocks[0];
    this.first = clocks[0];
    const before = clocks.map((clock) => clock - clocks[0]);
    for (const [key, lines] of this.lines) {
      for (const policy of policies) {
        const line = lines.get(policy.scheduler) ?? { x: [], y: [] };
        const x = line.x.map((time) => time + seen - clocks[0]);
        const later = x.map((_, number) => number).filter((number) => x[number] > before[before.length - 1]);
        lines.set(policy.scheduler, {
          x: [...before, ...later.map((number) => x[number])],
          y: [...(policy[key] ?? before.map(() => null)), ...later.map((number) => line.y[number])],
        });
      }
    }
  }

  /** @param {import("./messages").Snapshot} snapshot */
  keep({ clock_time: clock, policies }) {
    if (clock === null) return;
    this.first ??= clock;
    const x = clock - this.first;
    for (const [key, lines] of this.lines) {
      for (const policy of policies) {
        if (!lines.has(policy.scheduler)) lines.set(policy.scheduler, { x: [], y: [] });
        const line = lines.get(policy.scheduler);
        if (line.x.length && x <= line.x[line.x.length - 1]) continue;
        line.x.push(x);
        line.y.push(policy[key]);
        if (line.x.length > MOST_POINTS) {
          line.x = line.x.filter((_, number) => number % 2 === 0);
          line.y = line.y.filter((_, number) => number % 2 === 0);
        }
      }
    }
  }

  // Seconds of simulated time from the first to the newest point.
  passed() {
    let most = 0;
    for (const lines of this.lines.values()) for (const { x } of lines.values()) most = Math.max(most, x.at(-1) ?? 0);
    return most;
  }

  of(key) {
    return [...this.lines.get(key)].map(([name, line]) => ({ name, ...line }));
  }
}
