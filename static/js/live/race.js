// The race: one simulated clock, all policies side by side, redrawn at most twice a second.
import { readable } from "../charts/numbers.js";
import { LiveSocket, showState } from "./socket.js";
import { OVER, progressWords, setText } from "./words.js";

const REDRAW = 500; // ms
const MOST_POINTS = 600;

const CELLS = {
  done: (policy) => `${policy.finished.toLocaleString("en-GB")} of ${policy.total.toLocaleString("en-GB")}`,
  mean: (policy) => readable(policy.mean_job_completion_time, "s"),
  p95: (policy) => readable(policy.p95_job_completion_time, "s"),
  waiting: (policy) => policy.queue_length.toLocaleString("en-GB"),
  running: (policy) => policy.running.toLocaleString("en-GB"),
  cpu: (policy) => readable(policy.cpu_utilisation, "share"),
  gpu: (policy) => readable(policy.gpu_utilisation, "share"),
  energy: (policy) => readable(policy.energy_joules, "J"),
  cost: (policy) => readable(policy.cost_usd, "usd"),
  wins: (policy) => policy.wins.toLocaleString("en-GB"),
};

const CHARTS = {
  mean_job_completion_time: { label: "Mean JCT", unit: "s" },
  queue_length: { label: "Tasks waiting", unit: "" },
  cpu_utilisation: { label: "CPU use", unit: "share" },
};

export function followRun(part, charts) {
  const race = new Race(part, charts);
  if (part.dataset.over === undefined) {
    race.connect();
    return;
  }
  const button = document.querySelector("[data-replay]");
  button.hidden = false;
  button.addEventListener("click", () => {
    part.hidden = false;
    button.disabled = true;
    part.scrollIntoView();
    race.connect({ type: "replay" });
  });
}

class Race {
  constructor(part, charts) {
    this.part = part;
    this.charts = charts;
    this.rows = new Map([...part.querySelectorAll("[data-policy]")].map((row) => [row.dataset.policy, row]));
    this.series = new Map(); // chart key -> policy -> {x, y}
    this.first = null;
    this.newest = null;
    this.drawnAt = 0;
    this.timer = null;
    this.frames = 0;
  }

  connect(request = null) {
    this.replaying = request !== null;
    let asked = false;
    this.socket = new LiveSocket(`/ws/runs/${this.part.dataset.run}/`, (message) => {
      if (request && !asked) {
        asked = true;
        this.socket.send(request);
        return;
      }
      this.receive(message);
    }, showState(this.part.querySelector("[data-live-state]")));
  }

  receive(message) {
    if (message.type === "snapshot") {
      if (this.replaying && !message.replay) return;
      this.newest = message;
      this.keep(message);
      this.schedule();
      if (!message.replay) this.statusIs(message.status);
      if (this.replaying && message.progress >= 1) this.socket.close();
    } else if (message.type === "run_state" && !this.replaying) {
      this.statusIs(message.status);
    }
  }

  statusIs(status) {
    const pill = document.querySelector("[data-status]");
    if (pill.textContent !== status) {
      pill.textContent = status;
      pill.className = `pill ${status}`;
      for (const button of document.querySelectorAll("[data-command]")) {
        button.form.hidden = !{ pause: ["running"], resume: ["paused"], stop: ["queued", "running", "paused"] }[button.dataset.command].includes(status);
      }
    }
    if (OVER.has(status)) {
      this.socket.close();
      // The figures are stored before the status says so.
      setTimeout(() => location.reload(), 400);
    }
  }

  keep(message) {
    if (message.clock_time === null) return;
    this.first ??= message.clock_time;
    for (const key of Object.keys(CHARTS)) {
      if (!this.series.has(key)) this.series.set(key, new Map());
      for (const policy of message.policies) {
        const lines = this.series.get(key);
        if (!lines.has(policy.scheduler)) lines.set(policy.scheduler, { x: [], y: [] });
        const line = lines.get(policy.scheduler);
        const x = message.clock_time - this.first;
        if (line.x.length && x <= line.x[line.x.length - 1]) continue;
        line.x.push(x);
        line.y.push(policy[key]);
        if (line.x.length > MOST_POINTS) {
          // Every second point goes, so that memory stays the same however long the race is.
          line.x = line.x.filter((_, number) => number % 2 === 0);
          line.y = line.y.filter((_, number) => number % 2 === 0);
        }
      }
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
    setText(this.part.querySelector("[data-progress-words]"), (newest.replay ? "Replay: " : "") + progressWords(newest));
    const bar = this.part.querySelector("progress");
    bar.value = newest.progress;
    setText(this.part.querySelector("[data-clock]"), newest.clock_time === null ? "no data" : readable(newest.clock_time, "s"));
    setText(this.part.querySelector("[data-via]"), newest.via ? `, by way of ${newest.via === "redis" ? "Redis" : "the database"}` : "");
    this.table(newest.policies);
    this.placements(newest.placements);
    this.frames += 1;
    this.part.dataset.frames = String(this.frames);
    this.drawCharts();
  }

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

  placements(placements) {
    const body = this.part.querySelector("[data-placements]");
    if (!body.closest("details").open) return;
    body.replaceChildren(...[...placements].reverse().map((one) => {
      const row = document.createElement("tr");
      const cells = [one.scheduler, one.task_id, one.node, one.gpu_fraction, readable(one.start_time, "s"), readable(one.finish_time, "s")];
      cells.forEach((text, number) => {
        const cell = document.createElement("td");
        cell.textContent = text;
        if (number) cell.className = "number";
        row.append(cell);
      });
      return row;
    }));
  }

  async drawCharts() {
    const areas = this.part.querySelectorAll("[data-race-chart]");
    if (!areas.length) return;
    this.module ??= await this.charts.then(() => import("../charts/charts.js"));
    await this.module.getReady(document.body.dataset.charts);
    for (const area of areas) {
      const key = area.dataset.raceChart;
      const { label, unit } = CHARTS[key];
      const lines = this.series.get(key);
      if (!lines) continue;
      this.module.draw(area, {
        kind: "line",
        title: label,
        x: { label: "Simulated time", unit: "s", scale: "linear" },
        y: { label, unit, scale: "linear" },
        series: [...lines].map(([name, line]) => {
          const row = this.rows.get(name);
          return { name, x: line.x, y: line.y, colour: Number(row?.dataset.colour ?? 0), dash: Number(row?.dataset.dash ?? 0) };
        }),
        plain: true,
      });
    }
  }
}
