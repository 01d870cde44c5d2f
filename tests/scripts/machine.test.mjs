import assert from "node:assert/strict";
import { test } from "node:test";
import { stacked, windowOf } from "../../static/js/machine/marks.js";
import { BATCH, FEW, Player, paceOf } from "../../static/js/machine/player.js";

const LAST = 1000;

// A server with an event at every ten seconds of the clock; `hold` keeps answers back until they are let go.
function machine({ last = LAST, hold = false } = {}) {
  const at = (time) => ({
    time,
    previous_time: time > 0 ? Math.ceil(time / 10 - 1) * 10 : null,
    next_time: time < last ? Math.floor(time / 10 + 1) * 10 : null,
  });
  const shown = [];
  const asked = [];
  const turns = [];
  const said = [];
  const held = [];
  let most = 0;
  const player = new Player({
    frame: at(0),
    last,
    load: async (from, step, count, signal) => {
      const request = { from, step, count, signal };
      asked.push(request);
      if (hold) await new Promise((go) => held.push(go));
      const frames = [];
      for (let time = from; frames.length < count; ) {
        frames.push(at(time));
        const next = step ? Math.min(time + step, last) : at(time).next_time;
        if (next === null || next <= time) break;
        time = next;
      }
      return frames;
    },
    show: (frame) => {
      shown.push(frame.time);
      most = Math.max(most, player.ahead.length);
    },
    turned: (playing) => turns.push(playing),
    say: (sentence) => said.push(sentence),
    rest: async () => {},
  });
  return { player, shown, asked, turns, said, held, most: () => most };
}

test("a choice of speed says how long an instant is shown and how far the clock goes on", () => {
  assert.deepEqual(paceOf("events 8"), { rest: 125, step: 0 });
  assert.deepEqual(paceOf("clock 60"), { rest: 250, step: 15 });
});

test("playing from event to event shows each once, to the end, and then pauses", async () => {
  const { player, shown, turns } = machine();
  await player.play();
  assert.deepEqual(
    shown,
    Array.from({ length: LAST / 10 }, (_, at) => 10 * (at + 1)),
  );
  assert.deepEqual(turns, [true, false]);
});

test("an even clock ends at the end of the run", async () => {
  const { player, shown } = machine();
  player.setPace("clock 60");
  await player.play();
  assert.deepEqual(shown.slice(0, 3), [15, 30, 45]);
  assert.deepEqual(shown.slice(-2), [990, LAST]);
});

test("no more instants are kept than one document and a few, however long it plays", async () => {
  const { player, most, asked } = machine({ last: 100_000 });
  await player.play();
  assert.ok(most() <= BATCH + FEW);
  assert.ok(asked.every(({ count }) => count === BATCH));
});

test("what was asked for before a jump is given up and never shown", async () => {
  const { player, shown, asked, held } = machine({ hold: true });
  const first = player.seek(400);
  const second = player.seek(700);
  assert.deepEqual(
    asked.map(({ signal }) => signal.aborted),
    [true, false],
  );
  for (const go of held) go();
  await Promise.all([first, second]);
  assert.deepEqual(shown, [700]);
});

test("a pause while a document is on its way leaves the instant where it is", async () => {
  const { player, shown, held, turns } = machine({ hold: true });
  const played = player.play();
  player.pause();
  for (const go of held) go();
  await played;
  assert.deepEqual(shown, []);
  assert.deepEqual(turns, [true, false]);
});

test("steps go to the neighbouring events and stop at the ends", async () => {
  const { player, shown } = machine();
  await player.step("previous_time");
  await player.step("next_time");
  await player.step("next_time");
  await player.step("previous_time");
  assert.deepEqual(shown, [10, 20, 10]);
});

test("a failure is said, and playing pauses", async () => {
  const { player, said, turns } = machine();
  player.load = async () => {
    throw new Error("status 503");
  };
  await player.play();
  assert.deepEqual(said, ["The instant could not be loaded (status 503)."]);
  assert.deepEqual(turns, [true, false]);
});

test("the window stays while the instant lies well inside, and else holds it", () => {
  const whole = [0, 1000];
  assert.deepEqual(windowOf([100, 200], 150, whole), [100, 200]);
  assert.deepEqual(windowOf([100, 200], 195, whole), [170, 270]);
  assert.deepEqual(windowOf([0, 100], 1, whole), [0, 100]);
  assert.deepEqual(windowOf([900, 1000], 999, whole), [900, 1000]);
  assert.deepEqual(windowOf([100, 200], 5, whole), [0, 100]);
  assert.deepEqual(windowOf([0, 5000], 5, whole), [0, 5000]);
});

test("plans that hold at once take different processors, the lowest that are free", () => {
  const plans = [
    [1, 4, 0, 10],
    [2, 2, 5, 15],
    [3, 4, 10, 20],
    [4, 1, 6, 8],
  ];
  assert.deepEqual(stacked(plans), [
    [0, 4],
    [4, 6],
    [0, 4],
    [6, 7],
  ]);
});
