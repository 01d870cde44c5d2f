// Shows how far policy searches are, and a model that was stored while the page is open.
import { draw, getReady } from "../charts/charts.js";
import { all, find } from "../dom.js";
import { showState } from "./socket.js";

const ASK_EVERY = 3000; // ms

export function followTraining(part, charts) {
  const show = showState(part.querySelector("[data-live-state]"));
  /** @type {Date | null} */
  let heardAt = null;
  const ask = async () => {
    if (document.visibilityState === "visible") {
      try {
        const response = await fetch(part.dataset.underWay, { headers: { Accept: "application/json" } });
        if (!response.ok) throw new Error(`status ${response.status}`);
        const state = await response.json();
        await charts;
        if (state.newest > Number(part.dataset.newest) || !(await update(state))) {
          location.reload();
          return;
        }
        heardAt = new Date();
        show("live", "Live");
      } catch {
        const time = heardAt?.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
        show("stale", time ? `Stale since ${time}` : "Not connected");
      }
    }
    setTimeout(ask, ASK_EVERY);
  };
  ask();
}

// Returns whether the page has a place for everything; where it has not, the server makes it anew.
async function update(state) {
  const jobs = all(HTMLElement, "[data-job]");
  const shown = jobs.map((job) => `${job.dataset.job} ${job.dataset.jobStatus}`).join();
  if (shown !== state.jobs.map((job) => `${job.id} ${job.status}`).join()) return false;
  for (const [number, job] of state.jobs.entries()) {
    const words = jobs[number].querySelector("[data-job-words]");
    if (words) words.textContent = job.words;
  }
  const parts = all(HTMLElement, "[data-search]");
  const known = parts.map((part) => part.dataset.search).join();
  if (known !== state.searches.map((search) => search.id).join()) return false;
  for (const [number, search] of state.searches.entries()) {
    const part = parts[number];
    find(HTMLElement, "[data-search-words]", part).textContent = search.words;
    find(HTMLProgressElement, "progress", part).value = search.done;
    const chart = state.charts[`search-${search.id}`];
    const area = part.querySelector("[data-chart]");
    if (!area) {
      if (chart.series.length && document.body.dataset.charts) return false;
    } else {
      await getReady(document.body.dataset.charts);
      draw(area, chart);
      find(HTMLElement, ".finding", part).textContent = chart.finding;
    }
  }
  return true;
}
