// The schedule around an instant, with the instant, the reservation of the head and the plans drawn on it.
import { palette } from "../charts/colours.js";
import { BOTTOM, Gantt, RIGHT, TOP } from "../charts/gantt.js";
import { EACH, HEAD } from "../charts/strips.js";
import { inside } from "../charts/window.js";
import { stacked } from "./marks.js";

export class InstantGantt extends Gantt {
  /**
   * @param {HTMLElement} area
   * @param {any} echarts
   * @param {import("./page.js").Machine} machine
   */
  constructor(area, echarts, machine) {
    super(area, echarts);
    this.machine = machine;
    /** @type {any} */
    this.panel = null;
    this.canvas = document.createElement("canvas");
    this.veil = document.createElement("div");
    this.veil.className = "veil";
    this.cursor = document.createElement("div");
    this.cursor.className = "cursor";
    for (const mark of [this.canvas, this.veil, this.cursor]) mark.ariaHidden = "true";
    area.after(this.canvas, this.veil, this.cursor);
    this.below = /** @type {HTMLElement} */ (this.veil.cloneNode());
    // Titles of strips are not of an instant: they stay as readable as the others.
    this.below.style.background = `repeating-linear-gradient(transparent 0 ${HEAD}px, var(--surface) ${HEAD}px ${EACH}px)`;
    this.through = /** @type {HTMLElement} */ (this.cursor.cloneNode());
    const strips = this.figure.querySelector("[data-strips]");
    const holder = document.createElement("div");
    holder.className = "at-area";
    strips.replaceWith(holder);
    holder.append(strips, this.below, this.through);
  }

  taskAddress(item) {
    return this.machine.taskAddress(super.taskAddress(item));
  }

  axisName() {
    const [low] = this.machine.whole;
    return low === 0 ? "Time on the workload's clock" : "Time after the first event";
  }

  openAt(time) {
    this.machine.player.seek(time);
  }

  remember() {
    this.offer(this.data.window_from, this.data.window_to);
  }

  // All charts move together.
  move(from, to) {
    const [first, last] = this.machine.whole;
    this.machine.look(inside({ first, last, window_from: from, window_to: to }, from, to));
  }

  slide(from, to) {
    if (this.data) super.move(from, to);
    else this.show(from, to);
  }

  draw() {
    super.draw();
    this.mark();
  }

  /** @param {any} panel */
  tell(panel) {
    this.panel = panel;
    this.mark();
  }

  // Drawn by itself, so that an instant more does not draw the schedule anew.
  mark() {
    const { data, panel, area, canvas } = this;
    if (!data || !panel) return;
    const { clientWidth: width, clientHeight: height } = area;
    const scale = devicePixelRatio;
    if (canvas.width !== width * scale || canvas.height !== height * scale) {
      canvas.width = width * scale;
      canvas.height = height * scale;
    }
    const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    const left = this.left;
    const right = width - RIGHT;
    const foot = height - BOTTOM;
    const { window_from: from, window_to: to } = data;
    const x = (time) => left + ((time - from) / (to - from)) * (right - left);
    const now = Math.min(Math.max(x(panel.time), left), right);
    for (const cursor of [this.cursor, this.through]) {
      cursor.style.transform = `translateX(${now}px)`;
      cursor.hidden = panel.time < from || panel.time > to;
    }
    for (const veil of [this.veil, this.below]) {
      veil.style.left = `${now}px`;
      veil.style.width = `${right - now}px`;
    }
    pen.save();
    pen.beginPath();
    pen.rect(left, TOP, right - left, foot - TOP);
    pen.clip();
    const colours = palette();
    pen.strokeStyle = colours.ink;
    pen.lineWidth = 1.5;
    pen.setLineDash([5, 3]);
    pen.font = "11px system-ui, sans-serif";
    if (data.processors) {
      const y = (processor) => foot - (processor / data.processors) * (foot - TOP);
      stacked(panel.plans).forEach(([low, high], at) => {
        const [task, , begin, end] = panel.plans[at];
        pen.strokeRect(x(begin), y(high), Math.max(2, x(end) - x(begin)), y(low) - y(high));
        if (y(low) - y(high) > 12) write(pen, String(task), x(begin) + 4, y(high) + 12, colours);
      });
    }
    if (panel.shadow_time !== null) {
      pen.beginPath();
      pen.moveTo(x(panel.shadow_time), TOP);
      pen.lineTo(x(panel.shadow_time), foot);
      pen.stroke();
      write(pen, `task ${panel.head} is to start`, x(panel.shadow_time) + 4, TOP + 12, colours);
    }
    this.outline(pen, x, foot);
    pen.restore();
    this.area.dataset.marked = String(panel.time);
  }

  // The task that is followed.
  outline(pen, x, foot) {
    const { data } = this;
    if (data.level !== "tasks" || this.machine.task === null) return;
    pen.setLineDash([]);
    pen.lineWidth = 2.5;
    const lanes = data.processors || data.lanes.length;
    const unit = (foot - TOP) / lanes;
    for (const [lane, low, high, begin, end, task] of data.items) {
      if (task !== this.machine.task) continue;
      const top = data.processors ? foot - high * unit : TOP + (lane + low) * unit;
      pen.strokeRect(x(begin), top, Math.max(2, x(end) - x(begin)), (high - low) * unit);
    }
  }
}

function write(pen, text, x, y, colours) {
  pen.save();
  pen.setLineDash([]);
  pen.strokeStyle = colours.surface;
  pen.lineWidth = 3;
  pen.strokeText(text, x, y);
  pen.fillStyle = colours.ink;
  pen.fillText(text, x, y);
  pen.restore();
}
