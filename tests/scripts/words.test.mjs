import assert from "node:assert/strict";
import { test } from "node:test";
import { OVER, progressWords } from "../../static/js/live/words.js";

const policy = (finished, total) => ({ finished, total });

test("a race says how many policies are done, how much of the tasks, and how long it still takes", () => {
  const state = { status: "running", progress: 0.5, eta_seconds: 125, policies: [policy(10, 10), policy(0, 10)] };
  assert.equal(progressWords(state), "1 of 2 policies done, 50% of the tasks, about 2 min left");
});

test("a line of the list, which knows the policies' names only, leaves their number out", () => {
  const line = { status: "running", progress: 0.123, eta_seconds: null, policies: ["fcfs", "sjf"] };
  assert.equal(progressWords(line), "12% of the tasks");
});

test("a paused run says nothing of the time left", () => {
  const state = { status: "paused", progress: 0.5, eta_seconds: 60, policies: [] };
  assert.equal(progressWords(state), "50% of the tasks");
});

test("a run that waits for its process says so", () => {
  assert.equal(progressWords({ status: "queued" }), "Waiting for its process to start");
});

test("nothing is called complete before the last task has finished", () => {
  const state = { status: "running", progress: 0.9999, eta_seconds: null, policies: [policy(9999, 10000)] };
  assert.equal(progressWords(state), "0 of 1 policies done, 99% of the tasks");
});

test("an interrupted run is not over: it can be taken up", () => {
  assert.deepEqual([...OVER].sort(), ["failed", "finished", "stopped"]);
});
