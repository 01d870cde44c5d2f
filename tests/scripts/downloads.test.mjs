import assert from "node:assert/strict";
import { test } from "node:test";
import { csv } from "../../static/js/live/downloads.js";

test("a row is a line, under the names of its columns", () => {
  const rows = [
    { scheduler: "fcfs", wins: 3 },
    { scheduler: "sjf", wins: null },
  ];
  assert.equal(csv(rows), "scheduler,wins\r\nfcfs,3\r\nsjf,");
});

test("commas, quotes and line breaks are quoted as RFC 4180 says", () => {
  assert.equal(csv([{ name: 'a "b", c\nd' }]), 'name\r\n"a ""b"", c\nd"');
});

test("nothing is an empty file", () => {
  assert.equal(csv([]), "");
});
