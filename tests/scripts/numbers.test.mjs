import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import {
  axisUnit,
  counted,
  logTicks,
  percentDone,
  readable,
  roughly,
  tickLabel,
} from "../../static/js/charts/numbers.js";

test("a number is written in the unit that suits it", () => {
  assert.equal(readable(48.2, "s"), "48.2 s");
  assert.equal(readable(810, "s"), "13.5 min");
  assert.equal(readable(18360, "s"), "5.1 h");
  assert.equal(readable(3.6e6 * 2.3, "J"), "2.3 kWh");
  assert.equal(readable(0.4567, "share"), "45.7%");
  assert.equal(readable(1234.5, "usd"), "$1,235");
  assert.equal(readable(7, ""), "7");
});

test("a unit is taken from twice its size on, so that 90 seconds stay seconds", () => {
  assert.equal(readable(90, "s"), "90 s");
  assert.equal(readable(119, "s"), "119 s");
  assert.equal(readable(120, "s"), "2 min");
  assert.equal(readable(-7200, "s"), "-2 h");
});

test("thousands of a count are told apart", () => {
  assert.equal(counted(2476), "2,476");
});

test("what is missing is said to be missing, and zero is not", () => {
  for (const nothing of [null, undefined, Number.NaN]) assert.equal(readable(nothing, "s"), "no data");
  assert.equal(readable(0, "s"), "0 s");
});

test("an axis is divided by the unit it names", () => {
  assert.deepEqual(axisUnit("s", 86400 * 3), { name: "d", divisor: 86400 });
  assert.deepEqual(axisUnit("share", 1), { name: "%", divisor: 0.01 });
  assert.deepEqual(axisUnit("kg", 0.2), { name: "g", divisor: 0.001 });
  assert.deepEqual(axisUnit("kg", 2500), { name: "t", divisor: 1000 });
  assert.deepEqual(axisUnit("tasks", 10), { name: "tasks", divisor: 1 });
});

test("a rough duration has no decimals", () => {
  assert.equal(roughly(40), "40 s");
  assert.equal(roughly(125), "2 min");
  assert.equal(roughly(3 * 3600), "3 h");
});

test("ticks of a logarithmic axis of time stand at times that people know", () => {
  assert.deepEqual(logTicks("s", 5, 4000), [10, 60, 600, 3600]);
  assert.deepEqual(
    logTicks("s", 5, 4000).map((tick) => tickLabel(tick, "s")),
    ["10 s", "1 min", "10 min", "1 h"],
  );
});

test("those of plain numbers are powers of ten, unless fewer than two fit", () => {
  assert.deepEqual(logTicks("", 0.5, 150), [1, 10, 100]);
  assert.equal(logTicks("", 2, 9), undefined);
});

test("progress is rounded as the server rounds it: down, and 100 only at the end", () => {
  const pairs = JSON.parse(readFileSync(new URL("../data/progress.json", import.meta.url), "utf8"));
  assert.ok(pairs.length > 5);
  for (const [share, percent] of pairs) assert.equal(percentDone(share), percent, `${share}`);
});
