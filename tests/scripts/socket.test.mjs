import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { LiveSocket } from "../../static/js/live/socket.js";

class FakeSocket extends EventTarget {
  static OPEN = 1;
  static made = [];

  constructor(address) {
    super();
    this.address = address;
    this.readyState = FakeSocket.OPEN;
    this.sent = [];
    FakeSocket.made.push(this);
  }

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  close(code = 1000) {
    this.readyState = 3;
    this.closedWith = code;
  }

  say(message) {
    this.dispatchEvent(Object.assign(new Event("message"), { data: JSON.stringify(message) }));
  }

  drop(code) {
    this.readyState = 3;
    this.dispatchEvent(Object.assign(new Event("close"), { code }));
  }
}

// In steps, so that what is due finds the clock where it stood.
const pass = (seconds) => {
  for (let second = 0; second < seconds; second += 1) mock.timers.tick(1000);
};

const newest = () => FakeSocket.made.at(-1);
let messages;
let states;

const open = () =>
  new LiveSocket(
    "/ws/live/",
    (message) => messages.push(message),
    (state, words) => states.push([state, words]),
  );

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"], now: Date.UTC(2026, 0, 1, 12, 0) });
  globalThis.WebSocket = FakeSocket;
  globalThis.location = { protocol: "https:", host: "example.org" };
  FakeSocket.made = [];
  messages = [];
  states = [];
});

test("a secure page opens a secure socket", () => {
  open();
  assert.equal(newest().address, "wss://example.org/ws/live/");
});

test("every fourth numbered message is acknowledged", () => {
  open();
  for (let sequence = 1; sequence <= 9; sequence += 1) newest().say({ type: "snapshot", sequence });
  assert.deepEqual(newest().sent, [
    { type: "ack", sequence: 4 },
    { type: "ack", sequence: 8 },
  ]);
  assert.equal(messages.length, 9);
});

test("the wait before another attempt doubles up to 15 seconds, and is short again after a message", () => {
  open();
  for (const wait of [500, 1000, 2000, 4000, 8000, 15000, 15000]) {
    const made = FakeSocket.made.length;
    newest().drop(1006);
    mock.timers.tick(wait - 1);
    assert.equal(FakeSocket.made.length, made);
    mock.timers.tick(1);
    assert.equal(FakeSocket.made.length, made + 1);
  }
  newest().say({ type: "runs", runs: [] });
  newest().drop(1006);
  mock.timers.tick(500);
  assert.equal(FakeSocket.made.length, 9);
});

test("a code that will not change ends it, with the reason that the server gave", () => {
  for (const code of [4401, 4404, 4429]) {
    FakeSocket.made = [];
    open();
    newest().say({ type: "error", code: "too_many", message: "Too many connections." });
    newest().drop(code);
    mock.timers.tick(60_000);
    assert.equal(FakeSocket.made.length, 1);
    assert.deepEqual(states.at(-1), ["stale", "Too many connections."]);
  }
});

test("a server that is quiet for five seconds is asked, and one quiet for more than fifteen is given up", () => {
  open();
  newest().say({ type: "runs", runs: [] });
  const quiet = newest();
  pass(10);
  assert.deepEqual(quiet.sent, [{ type: "ping" }]);
  pass(10);
  assert.equal(quiet.readyState, 3);
  assert.equal(states.at(-1)[0], "stale");
  mock.timers.tick(500);
  assert.notEqual(newest(), quiet);
});

test("a message of a socket that was given up is not listened to", () => {
  open();
  const lost = newest();
  lost.say({ type: "runs", runs: [] });
  pass(21);
  lost.say({ type: "runs", runs: [] });
  assert.equal(messages.length, 1);
});

test("closing it for good opens no other", () => {
  const socket = open();
  socket.close();
  newest().drop(1000);
  mock.timers.tick(60_000);
  assert.equal(FakeSocket.made.length, 1);
});
