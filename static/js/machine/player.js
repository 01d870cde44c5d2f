// Plays instants one after another: asks for some ahead, shows each for a while, and keeps no more than that.

/** @typedef {{ time: number, next_time: number | null, previous_time: number | null }} Times */

export const BATCH = 12; // instants in one document
export const FEW = 6; // with so many left the next document is asked for
const TICK = 250; // ms between two instants where the clock goes on evenly

/**
 * What the words of a choice of speed mean: how long an instant is shown, and how many seconds of the clock lie between
 * two; 0 for one event after another.
 * @param {string} text
 */
export function paceOf(text) {
  const [kind, amount] = text.split(" ");
  const number = Number(amount);
  return kind === "events" ? { rest: 1000 / number, step: 0 } : { rest: TICK, step: (number * TICK) / 1000 };
}

/**
 * @template {Times} Frame
 */
export class Player {
  /**
   * @param {object} parts
   * @param {Frame} parts.frame what is shown
   * @param {number} parts.last where the clock ends
   * @param {(from: number, step: number, count: number, signal: AbortSignal) => Promise<Frame[]>} parts.load
   * @param {(frame: Frame) => void} parts.show
   * @param {(playing: boolean) => void} parts.turned told when it begins and stops to play
   * @param {(sentence: string) => void} parts.say
   * @param {(ms: number) => Promise<void>} [parts.rest]
   */
  constructor({ frame, last, load, show, turned, say, rest }) {
    this.frame = frame;
    this.last = last;
    this.load = load;
    this.show = show;
    this.turned = turned;
    this.say = say;
    this.rest = rest ?? ((ms) => new Promise((done) => setTimeout(done, ms)));
    /** @type {Frame[]} */
    this.ahead = [];
    this.playing = false;
    this.round = 0;
    this.pace = paceOf("events 2");
    /** @type {AbortController | null} */
    this.asked = null;
    /** @type {Promise<void> | null} */
    this.filling = null;
  }

  setPace(text) {
    this.pace = paceOf(text);
    this.drop();
  }

  // Goes to an instant; what was asked for before is not waited for.
  async seek(time) {
    this.drop();
    const frames = await this.ask(time, 0, 1);
    if (frames?.length) this.take(frames[0]);
  }

  /** @param {"previous_time" | "next_time"} which */
  async step(which) {
    const time = this.frame[which];
    if (time !== null) await this.seek(time);
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  pause() {
    if (!this.playing) return;
    this.playing = false;
    this.drop();
    this.turned(false);
  }

  async play() {
    if (this.playing) return;
    this.playing = true;
    this.turned(true);
    const round = ++this.round;
    while (this.playing && round === this.round) {
      if (this.ahead.length <= FEW && !this.filling) this.fill();
      const frame = this.ahead.shift();
      if (frame) {
        this.take(frame);
        await this.rest(this.pace.rest);
      } else if (this.filling) {
        await this.filling;
      } else {
        this.pause();
      }
    }
  }

  take(frame) {
    this.frame = frame;
    this.show(frame);
  }

  drop() {
    this.asked?.abort();
    this.asked = null;
    this.filling = null;
    this.ahead = [];
  }

  // Asks for what comes behind the last instant that is known; nothing where the clock ends.
  fill() {
    const end = this.ahead.at(-1) ?? this.frame;
    const { step } = this.pace;
    const from = step ? Math.min(end.time + step, this.last) : end.next_time;
    if (from === null || from <= end.time) return;
    const filling = this.ask(from, step, BATCH).then((frames) => {
      if (this.filling !== filling) return;
      this.filling = null;
      if (frames) this.ahead.push(...frames);
      else this.pause();
    });
    this.filling = filling;
  }

  // Returns null where something newer is asked for meanwhile, or where it fails, which is said.
  async ask(from, step, count) {
    const asked = new AbortController();
    this.asked = asked;
    try {
      const frames = await this.load(from, step, count, asked.signal);
      if (asked.signal.aborted) return null;
      this.say("");
      return frames;
    } catch (error) {
      if (!asked.signal.aborted) this.say(`The instant could not be loaded (${error.message}).`);
      return null;
    }
  }
}
