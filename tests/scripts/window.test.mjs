import assert from "node:assert/strict";
import { test } from "node:test";
import { inside, isWhole, stepped, zoomed } from "../../static/js/charts/window.js";

const window = { first: 100, last: 1100, window_from: 300, window_to: 700 };

test("a step is a quarter of the window", () => {
  assert.deepEqual(stepped(window, "earlier"), [200, 600]);
  assert.deepEqual(stepped(window, "later"), [400, 800]);
});

test("closer halves the window, wider doubles it, both around its middle", () => {
  assert.deepEqual(stepped(window, "closer"), [400, 600]);
  assert.deepEqual(stepped(window, "wider"), [100, 900]);
  assert.deepEqual(stepped(window, "all"), [100, 1100]);
});

test("zooming leaves what is under the pointer where it is", () => {
  const at = (share, [from, to]) => from + share * (to - from);
  for (const share of [0, 0.25, 0.5, 1]) {
    const next = zoomed(window, share, 0.8);
    assert.ok(Math.abs(at(share, next) - at(share, [300, 700])) < 1e-9);
    assert.ok(Math.abs(next[1] - next[0] - 320) < 1e-9);
  }
});

test("a pointer beside the drawing counts as its edge", () => {
  assert.deepEqual(zoomed(window, -3, 1.25), zoomed(window, 0, 1.25));
  assert.deepEqual(zoomed(window, 7, 1.25), zoomed(window, 1, 1.25));
});

test("a window never leaves the whole, and keeps its length where it can", () => {
  assert.deepEqual(inside(window, -50, 350), [100, 500]);
  assert.deepEqual(inside(window, 900, 1300), [700, 1100]);
  assert.deepEqual(inside(window, -9000, 9000), [100, 1100]);
  assert.deepEqual(inside(window, 500, 500.2), [500, 501]);
});

test("everything is shown when both ends are", () => {
  assert.equal(isWhole(window), false);
  assert.equal(isWhole({ ...window, window_from: 100, window_to: 1100 }), true);
});
