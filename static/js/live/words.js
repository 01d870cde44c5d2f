// Progress as a person would say it; apps/dashboard/runs/progress.py says the same without scripts.
import { percentDone, roughly } from "../charts/numbers.js";

// What the charts of a race have across.
export const CLOCK = "Simulated time since the race began";

export const OVER = new Set(["finished", "stopped", "failed"]);

/** @param {import("./messages").Snapshot | import("./messages").RunProgress} state */
export function progressWords({ status, progress, eta_seconds: eta, policies }) {
  if (status === "queued") return "Waiting for its process to start";
  const parts = [];
  // The list of runs holds only the names of the policies.
  const states = policies.filter((policy) => typeof policy === "object");
  if (states.length) {
    const done = states.filter((policy) => policy.finished >= policy.total).length;
    parts.push(`${done} of ${states.length} policies done`);
  }
  parts.push(`${percentDone(progress)}% of the tasks`);
  if (status === "running" && eta !== null && eta !== undefined) parts.push(`about ${roughly(eta)} left`);
  return parts.join(", ");
}

export function setText(element, text) {
  if (element && element.textContent !== text) element.textContent = text;
}
