// The race: one simulated clock, all policies side by side, redrawn at most twice a second.
import { about, readable } from "../charts/numbers.js";
import { all, find } from "../dom.js";
import { offerNumbers } from "./downloads.js";
import { RaceCharts } from "./racecharts.js";
import { RaceSeries } from "./series.js";
import { LiveSocket, showState } from "./socket.js";
import { OVER, progressWords, setText } from "./words.js";

const REDRAW = 500; // ms

/** @type {Record<string, string[]>} */
const TAKEN_WHILE = { pause: ["running"], resume: ["paused"], stop: ["queued", "running", "paused"] };

/** @typedef {import("./messages").PolicyProgress} PolicyProgress */

/** @type {Record<string, (policy: PolicyProgress) => string>} */
const CELLS = {
  done: (policy) => `${policy.finished.toLocaleString("en-GB")} of ${policy.total.toLocaleString("en-GB")}`,
  mean: (policy) => readable(policy.mean_job_completion_time, "s"),
  p95: (policy) => about(readable(policy.p95_job_completion_time, "s")),
  waiting: (policy) => policy.queue_length.toLocaleString("en-GB"),
  running: (policy) => policy.running.toLocaleString("en-GB"),
  cpu: (policy) => readable(policy.cpu_utilisation, "share"),
  gpu: (policy) => readable(policy.gpu_utilisation, "share"),
  energy: (policy) => readable(policy.energy_joules, "J"),
  cost: (policy) => readable(policy.cost_usd, "usd"),
  wins: (policy) => policy.wins.toLocaleString("en-GB"),
  width: (policy) => (policy.mean_width == null ? "" : policy.mean_width.toFixed(1)),
};

export function followRun(part, charts) {
  const race = new Race(part, charts);
  if (part.dataset.over === undefined) {
    race.connect();
    return;
  }
  const button = find(HTMLButtonElement, "[data-replay]");
  button.hidden = false;
  button.addEventListener("click", () => {
    part.hidden = false;
    button.disabled = true;
    part.scrollIntoView();
    race.watchAgain(() => {
      button.disabled = false;
    });
  });
}

class Race {
  constructor(part, charts) {
    this.part = part;
    this.charts = charts;
    this.rows = new Map(all(HTMLElement, "[data-policy]", part).map((row) => [row.dataset.policy, row]));
    this.series = new RaceSeries(all(HTMLElement, "[data-race-chart]", part).map((figure) => figure.dataset.raceChart));
    this.drawn = new RaceCharts(part, this.series, (name) => {
      const row = this.rows.get(name);
      return { colour: Number(row?.dataset.colour ?? 0), dash: Number(row?.dataset.dash ?? 0) };
    });
    /** @type {import("./messages").Snapshot | null} */
    this.newest = null;
    offerNumbers(part.querySelector("[data-race-tools]"), "The race", () => this.newest?.policies ?? []);
    this.drawnAt = 0;
    /** @type {number | null} */
    this.timer = null;
    this.frames = 0;
  }

  /** @param {object | null} request  sent once the server has said something */
  connect(request = null) {
    this.replaying = request !== null;
    let asked = false;
    const socket = new LiveSocket(
      this.part.dataset.socket,
      (message) => {
        if (request && !asked) {
          asked = true;
          socket.send(request);
          return;
        }
        this.receive(message);
      },
      showState(this.part.querySelector("[data-live-state]")),
    );
    this.socket = socket;
  }

  watchAgain(onEnd) {
    this.onEnd = onEnd;
    this.series.forget();
    this.connect({ type: "replay" });
  }

  /** @param {import("./messages").Message} message */
  receive(message) {
    if (message.type === "snapshot") {
      if (this.replaying && !message.replay) return;
      this.newest = message;
      this.series.keep(message);
      if (message.retraining) this.retrained(message.retraining);
      this.schedule();
      if (!message.replay) this.statusIs(message.status);
      if (this.replaying && message.progress >= 1) {
        this.socket?.close();
        showState(this.part.querySelector("[data-live-state]"))("over", "The replay is over");
        this.onEnd?.();
      }
    } else if (message.type === "history" && !this.replaying) {
      this.series.restore(message);
    } else if (message.type === "run_state" && !this.replaying) {
      this.statusIs(message.status);
    } else if (message.type === "retraining") {
      this.retrained(message);
    }
  }

  /** @param {import("./messages").Retraining} fit */
  retrained({ scheduler, model_version: version, rows, score }) {
    const notice = this.part.querySelector("[data-retraining]");
    const parts = [`${scheduler} was fitted anew on ${rows.toLocaleString("en-GB")} labelled tasks`];
    if (version !== null) parts.push(`and plays as version ${version}`);
    if (score !== null) parts.push(`(R2 on later ones ${readable(score, "")})`);
    notice.hidden = false;
    setText(notice, `${parts.join(" ")}.`);
  }

  statusIs(status) {
    const pill = find(HTMLElement, "[data-status]");
    if (pill.textContent !== status) {
      pill.textContent = status;
      pill.className = `pill ${status}`;
      for (const button of all(HTMLButtonElement, "[data-command]")) {
        const { command = "" } = button.dataset;
        if (button.form) button.form.hidden = !TAKEN_WHILE[command]?.includes(status);
      }
    }
    if (OVER.has(status)) {
      this.socket?.close();
      // The figures are stored before the status says so.
      setTimeout(() => location.reload(), 400);
    }
  }

  schedule() {
    if (this.timer !== null) return;
    const wait = Math.max(0, this.drawnAt + REDRAW - performance.now());
    this.timer = setTimeout(() => {
      this.timer = null;
      this.drawnAt = performance.now();
      this.draw();
    }, wait);
  }

  draw() {
    const { newest } = this;
    if (!newest) return;
    setText(
      this.part.querySelector("[data-progress-words]"),
      (newest.replay ? "Replay: " : "") + progressWords(newest),
    );
    const bar = this.part.querySelector("progress");
    bar.value = newest.progress;
    setText(
      this.part.querySelector("[data-clock]"),
      newest.clock_time === null ? "no data" : readable(newest.clock_time, "s"),
    );
    setText(
      this.part.querySelector("[data-via]"),
      newest.via ? `, by way of ${newest.via === "redis" ? "Redis" : "the database"}` : "",
    );
    this.table(newest.policies);
    this.placements(newest.placements);
    this.frames += 1;
    this.part.dataset.frames = String(this.frames);
    this.drawn.draw(this.charts);
  }

  /** @param {PolicyProgress[]} policies */
  table(policies) {
    const ranked = [...policies].sort((one, other) => other.wins - one.wins);
    const body = this.part.querySelector("[data-race]");
    ranked.forEach((policy, number) => {
      const row = this.rows.get(policy.scheduler);
      if (!row) return;
      setText(row.querySelector("[data-cell=rank]"), String(number + 1));
      for (const [name, text] of Object.entries(CELLS)) setText(row.querySelector(`[data-cell=${name}]`), text(policy));
      if (body.children[number] !== row) body.insertBefore(row, body.children[number]);
    });
  }

  /** @param {import("./messages").Placement[]} placements */
  placements(placements) {
    const body = this.part.querySelector("[data-placements]");
    if (!body.closest("details").open) return;
    body.replaceChildren(
      ...[...placements].reverse().map((one) => {
        const row = document.createElement("tr");
        const cells = [
          one.scheduler,
          one.task_id,
          one.node,
          one.gpu_fraction,
          readable(one.start_time, "s"),
          readable(one.finish_time, "s"),
        ];
        cells.forEach((text, number) => {
          const cell = document.createElement("td");
          cell.textContent = String(text);
          if (number) cell.className = "number";
          row.append(cell);
        });
        return row;
      }),
    );
  }
}
