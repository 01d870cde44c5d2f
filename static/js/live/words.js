// Progress as a person would say it; apps/dashboard/runs/progress.py says the same without scripts.
import { roughly } from "../charts/numbers.js";

export const OVER = new Set(["finished", "stopped", "failed"]);

export function progressWords({ status, progress, eta_seconds: eta, policies }) {
  if (status === "queued") return "Waiting for its process to start";
  const parts = [];
  if (typeof policies?.[0] === "object") {
    const done = policies.filter((policy) => policy.finished >= policy.total).length;
    parts.push(`${done} of ${policies.length} policies done`);
  }
  parts.push(`${Math.floor(progress * 100)}% of the tasks`);
  if (status === "running" && eta !== null && eta !== undefined) parts.push(`about ${roughly(eta)} left`);
  return parts.join(", ");
}

export function setText(element, text) {
  if (element && element.textContent !== text) element.textContent = text;
}
