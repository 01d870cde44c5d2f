// The series of a run's electricity under its race, up to where the race is.
import { now, Strips } from "../charts/strips.js";
import { CLOCK } from "./words.js";

const LEFT = 56; // px before the drawing
const RIGHT = 20; // px behind it

export class RaceStrips {
  /**
   * @param {HTMLElement | null} figure  null where the run names no series
   * @param {import("./series.js").RaceSeries} series
   */
  constructor(figure, series) {
    this.figure = figure;
    this.series = series;
    /** @type {{ from: number, to: number, strips: import("../charts/strips.js").Strip[] }} */
    this.known = { from: 0, to: 0, strips: [] };
    this.asking = false;
    /** @type {Strips | null} */
    this.strips = null;
    document.addEventListener("themechange", () => this.strips?.redraw());
  }

  async draw() {
    const { figure, series } = this;
    if (!figure || series.first === null) return;
    const from = series.first;
    const to = from + series.passed();
    if (to <= from) return;
    if (from < this.known.from || to > this.known.to) await this.ask(from, to);
    this.strips ??= new Strips(figure, await import(document.body.dataset.charts ?? ""));
    const { strips } = this.known;
    this.strips.draw({ strips, from, to, zero: from, left: LEFT, right: RIGHT, said: now(strips, to), axis: CLOCK });
  }

  // For as long again as the race has taken so far, so that it is asked for now and then.
  async ask(from, to) {
    if (this.asking) return;
    this.asking = true;
    try {
      const query = new URLSearchParams({ from: String(from), to: String(2 * to - from) });
      const response = await fetch(`${this.figure?.dataset.raceStrips}?${query}`);
      if (response.ok) this.known = await response.json();
    } catch {
      // It is asked for again with the next figures.
    } finally {
      this.asking = false;
    }
  }
}
