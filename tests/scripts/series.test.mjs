import assert from "node:assert/strict";
import { test } from "node:test";
import { RaceSeries } from "../../static/js/live/series.js";

const snapshot = (clock_time, wins) => ({ clock_time, policies: [{ scheduler: "fcfs", wins }] });

test("points are counted from the first snapshot on", () => {
  const series = new RaceSeries(["wins"]);
  series.keep(snapshot(100, 1));
  series.keep(snapshot(160, 4));
  assert.deepEqual(series.of("wins"), [{ name: "fcfs", x: [0, 60], y: [1, 4] }]);
});

test("a snapshot without a clock, or not later than the last one, adds nothing", () => {
  const series = new RaceSeries(["wins"]);
  for (const one of [snapshot(null, 9), snapshot(10, 1), snapshot(10, 2), snapshot(5, 3)]) series.keep(one);
  assert.deepEqual(series.of("wins"), [{ name: "fcfs", x: [0], y: [1] }]);
});

test("a long race keeps at most 600 points a line, from its beginning to its newest", () => {
  const series = new RaceSeries(["wins"]);
  for (let clock = 0; clock <= 10_000; clock += 1) series.keep(snapshot(clock, clock));
  const [{ x, y }] = series.of("wins");
  assert.ok(x.length <= 600 && x.length > 250, `${x.length}`);
  assert.equal(x[0], 0);
  assert.ok(x.at(-1) > 9_900);
  assert.deepEqual(x, y);
  assert.deepEqual(
    x,
    [...x].sort((one, other) => one - other),
  );
});

const history = (clocks, wins) => ({ clock_time: clocks, policies: [{ scheduler: "fcfs", wins }] });

test("whoever comes late sees the race from its beginning", () => {
  const series = new RaceSeries(["wins"]);
  series.restore(history([100, 150, 200], [0, 1, 2]));
  series.keep(snapshot(260, 5));
  assert.deepEqual(series.of("wins"), [{ name: "fcfs", x: [0, 50, 100, 160], y: [0, 1, 2, 5] }]);
});

test("a history that comes after a snapshot, or again after a connection was lost, stands in front of what was seen", () => {
  const series = new RaceSeries(["wins"]);
  series.keep(snapshot(260, 5));
  series.restore(history([100, 200], [0, 2]));
  series.keep(snapshot(300, 6));
  assert.deepEqual(series.of("wins"), [{ name: "fcfs", x: [0, 100, 160, 200], y: [0, 2, 5, 6] }]);
  series.restore(history([100, 200, 280], [0, 2, 5.5]));
  assert.deepEqual(series.of("wins"), [{ name: "fcfs", x: [0, 100, 180, 200], y: [0, 2, 5.5, 6] }]);
});

test("a figure that an older history does not have begins with what is seen", () => {
  const series = new RaceSeries(["mean_width"]);
  series.restore(history([100, 200], [0, 2]));
  series.keep({ clock_time: 260, policies: [{ scheduler: "fcfs", mean_width: 2.5 }] });
  assert.deepEqual(series.of("mean_width"), [{ name: "fcfs", x: [0, 100, 160], y: [null, null, 2.5] }]);
});

test("an empty history changes nothing", () => {
  const series = new RaceSeries(["wins"]);
  series.keep(snapshot(100, 1));
  series.restore(history([], []));
  assert.deepEqual(series.of("wins"), [{ name: "fcfs", x: [0], y: [1] }]);
});

test("a replay begins with nothing", () => {
  const series = new RaceSeries(["wins"]);
  series.keep(snapshot(50, 1));
  series.forget();
  assert.deepEqual(series.of("wins"), []);
  series.keep(snapshot(70, 2));
  assert.deepEqual(series.of("wins"), [{ name: "fcfs", x: [0], y: [2] }]);
});
