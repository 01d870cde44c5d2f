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

  of(key) {
    return [...this.lines.get(key)].map(([name, line]) => ({ name, ...line }));
  }
}
