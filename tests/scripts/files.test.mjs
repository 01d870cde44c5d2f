import assert from "node:assert/strict";
import { test } from "node:test";
import { fileName } from "../../static/js/files.js";

test("a file is called after its page, which names the run, and after what it shows", () => {
  assert.equal(fileName("Mean slowdown", "Last month · Scheduler Sim"), "last-month-mean-slowdown");
  assert.equal(
    fileName("Difference from fcfs, user by user", "Who wins, who loses: run 3 · Scheduler Sim"),
    "who-wins-who-loses-run-3-difference-from-fcfs-user-by-user",
  );
});

test("letters of every alphabet stay, and nothing that a file system dislikes", () => {
  assert.equal(fileName("Use: CPU/GPU", "Прогон №1 · Scheduler Sim"), "прогон-1-use-cpu-gpu");
});
