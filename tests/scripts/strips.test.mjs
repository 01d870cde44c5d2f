import assert from "node:assert/strict";
import { test } from "node:test";
import { now, points, reach } from "../../static/js/charts/strips.js";

const strip = {
  kind: "carbon",
  name: "nl",
  title: "",
  label: "Carbon intensity",
  unit: "g/kWh",
  finding: "",
  times: [0, 10, 20, 30],
  values: [100, null, 300],
  drawn_times: [],
  drawn: [],
};

test("a step holds to its end, and what is unknown is a gap", () => {
  assert.deepEqual(points(strip.times, strip.values), [
    [0, 100],
    [10, 100],
    [10, null],
    [20, 300],
    [30, 300],
  ]);
  assert.deepEqual(points([], []), []);
});

test("the axis reaches what the window holds, from nothing where the values come near it", () => {
  assert.deepEqual(reach(strip, 0, 15), [92, 108]);
  assert.deepEqual(reach(strip, 0, 30), [0, 316]);
  assert.deepEqual(reach(strip, 10, 20), [0, 1]);
});

test("an instant is said in words", () => {
  assert.equal(now([strip], 5), "Carbon intensity (nl): now 100 g/kWh.");
  assert.equal(now([strip], 30), "Carbon intensity (nl): now 300 g/kWh.");
});

test("an instant of which nothing is known, inside a gap or before all steps, has no data", () => {
  assert.equal(now([strip], 15), "Carbon intensity (nl): now no data.");
  assert.equal(now([strip], -1), "Carbon intensity (nl): now no data.");
  assert.equal(now([{ ...strip, values: [100, 300, null] }], 30), "Carbon intensity (nl): now no data.");
});
