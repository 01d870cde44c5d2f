// The time machine: a clock that is dragged, stepped and played, and everything on the page as it is then.
import { all, find } from "../dom.js";
import { InstantGantt } from "./gantt.js";
import { windowOf } from "./marks.js";
import { Player } from "./player.js";
import { writeFollowed, writePanel } from "./tables.js";

const DRAG = 60; // ms of rest before an instant is asked for while the scrubber is dragged
const REMEMBER = 1000; // ms between two changes of the address while it plays; browsers refuse more
const KEYS = "machine-keys"; // in the browser's own memory
const REDRAW = 500; // ms between two windows of the charts

export async function setUpMachine(library) {
  const section = find(HTMLElement, "[data-machine]");
  const machine = new Machine(section);
  if (!library) return;
  const [{ offerPictures }, echarts] = await Promise.all([import("../charts/charts.js"), import(library)]);
  machine.draw(echarts, offerPictures);
}

export class Machine {
  /** @param {HTMLElement} section */
  constructor(section) {
    this.section = section;
    this.query = new URLSearchParams(section.dataset.query);
    this.task = this.query.has("task") ? Number(this.query.get("task")) : null;
    this.scrubber = find(HTMLInputElement, "[data-scrubber]", section);
    /** @type {[number, number]} */
    this.whole = [Number(this.scrubber.min), Number(this.scrubber.max)];
    this.panels = all(HTMLElement, "[data-panel]");
    this.playing = find(HTMLButtonElement, "[data-play]", section);
    this.pace = find(HTMLSelectElement, "[data-pace]", section);
    /** @type {InstantGantt[]} */
    this.charts = [];
    this.rememberedAt = 0;
    this.drawnAt = 0;
    const { time, previous, next, window } = section.dataset;
    const known = (text) => (text ? Number(text) : null);
    const now = Number(time);
    const length = Number(window);
    /** @type {[number, number]} */
    this.window = windowOf([this.whole[0] - 2 * length, this.whole[0] - length], now, this.whole);
    this.player = new Player({
      frame: { time: now, previous_time: known(previous), next_time: known(next), panels: [] },
      last: this.whole[1],
      load: (from, step, count, signal) => this.load(from, step, count, signal),
      show: (frame) => this.show(frame),
      turned: (playing) => this.turned(playing),
      say: (sentence) => {
        find(HTMLElement, "[data-machine-says]", section).textContent = sentence;
      },
    });
    this.listen();
  }

  draw(echarts, offerPictures) {
    for (const panel of this.panels) {
      const area = panel.querySelector("[data-gantt]");
      if (!(area instanceof HTMLElement)) continue;
      // The marks lie over the drawing.
      const holder = document.createElement("div");
      holder.className = "at-area";
      area.replaceWith(holder);
      holder.append(area);
      const chart = new InstantGantt(area, echarts, this);
      offerPictures(area, null, chart.instance, `Where and when tasks ran under ${panel.dataset.panel}`);
      this.charts.push(chart);
    }
    this.look(this.window);
    // What is reserved is not part of the page that was sent.
    this.player.seek(this.player.frame.time);
  }

  async load(from, step, count, signal) {
    const query = new URLSearchParams(this.query);
    for (const [name, value] of Object.entries({ from, step, count })) query.set(name, String(value));
    const response = await fetch(`${this.section.dataset.frames}?${query}`, { signal });
    if (!response.ok) throw new Error(`status ${response.status}`);
    return (await response.json()).frames;
  }

  address(time) {
    return `${this.section.dataset.machine}${time}/?${this.query}`;
  }

  taskAddress(address) {
    return `${address}?at=${encodeURIComponent(this.player.frame.time)}&${this.query}`;
  }

  show(frame) {
    for (const clock of all(HTMLElement, "[data-clock]")) clock.textContent = frame.clock;
    document.title = document.title.replace(/^At \S+: /, `At ${frame.clock}: `);
    this.scrubber.value = String(frame.time);
    this.scrubber.ariaValueText = frame.clock;
    for (const step of all(HTMLAnchorElement, "[data-step]", this.section)) {
      const time = frame[`${step.dataset.step}_time`];
      step.ariaDisabled = time === null ? "true" : "false";
      if (time === null) step.removeAttribute("href");
      else step.href = this.address(time);
    }
    frame.panels.forEach((panel, at) => {
      writePanel(this.panels[at], panel, this.task);
      this.charts[at]?.tell(panel);
    });
    if (this.task !== null) writeFollowed(frame);
    this.follow(frame.time);
    this.remember();
    this.section.dataset.shown = String(frame.time);
  }

  // Turns the charts on when the instant comes near the end of what they show.
  follow(time) {
    const next = windowOf(this.window, time, this.whole);
    if (next === this.window || (next[0] === this.window[0] && next[1] === this.window[1])) return;
    if (this.player.playing && performance.now() - this.drawnAt < REDRAW) return;
    this.look(next);
  }

  /** @param {[number, number]} window */
  look(window) {
    this.window = window;
    this.drawnAt = performance.now();
    for (const chart of this.charts) chart.slide(...window);
  }

  remember() {
    const now = performance.now();
    if (this.player.playing && now - this.rememberedAt < REMEMBER) return;
    this.rememberedAt = now;
    history.replaceState(null, "", this.address(this.player.frame.time));
  }

  turned(playing) {
    this.playing.textContent = playing ? "Pause" : "Play";
    this.section.dataset.playing = String(playing);
    // A clock that runs is not read out.
    find(HTMLOutputElement, "output[data-clock]", this.section).ariaLive = playing ? "off" : "polite";
    if (!playing) {
      this.remember();
      this.follow(this.player.frame.time);
    }
  }

  listen() {
    const { section, player } = this;
    for (const part of all(HTMLElement, "[data-play], [data-paces], [data-keys]", section)) part.hidden = false;
    const letters = find(HTMLInputElement, "[data-letters]", section);
    letters.checked = remembered() !== "off";
    letters.addEventListener("change", () => keep(letters.checked ? "on" : "off"));
    this.letters = letters;
    this.playing.addEventListener("click", () => player.toggle());
    player.setPace(this.pace.value);
    this.pace.addEventListener("change", () => player.setPace(this.pace.value));
    this.scrubber.addEventListener("input", () => {
      player.pause();
      clearTimeout(this.timer);
      this.timer = setTimeout(() => player.seek(Number(this.scrubber.value)), DRAG);
    });
    for (const step of all(HTMLAnchorElement, "[data-step]", section)) {
      step.addEventListener("click", (event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey) return;
        event.preventDefault();
        this.step(step.dataset.step === "next" ? "next_time" : "previous_time");
      });
    }
    document.addEventListener("keydown", (event) => this.key(event));
  }

  /** @param {"previous_time" | "next_time"} which */
  step(which) {
    this.player.pause();
    return this.player.step(which);
  }

  key(event) {
    if (!this.letters?.checked) return;
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    const does = {
      k: () => this.player.toggle(),
      j: () => this.step("previous_time"),
      l: () => this.step("next_time"),
      "[": () => this.faster(-1),
      "]": () => this.faster(1),
    }[event.key.toLowerCase()];
    if (!does) return;
    event.preventDefault();
    does();
  }

  faster(by) {
    const { options, selectedIndex } = this.pace;
    this.pace.selectedIndex = Math.min(Math.max(selectedIndex + by, 0), options.length - 1);
    this.player.setPace(this.pace.value);
  }
}

// Whether keys of one letter do something, as this browser keeps it.
function remembered() {
  try {
    return localStorage.getItem(KEYS);
  } catch {
    return null; // Some browsers keep nothing.
  }
}

function keep(choice) {
  try {
    localStorage.setItem(KEYS, choice);
  } catch {
    // Then it holds for this page alone.
  }
}

// The scrubber and boxes that are ticked take no letters.
function isTyping(element) {
  const typed = "input:not([type=range], [type=checkbox]), select, textarea, [contenteditable], dialog";
  return element.closest(typed) !== null;
}
