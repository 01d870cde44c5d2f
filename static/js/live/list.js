// Status and progress of the runs on a list.
import { all } from "../dom.js";
import { LiveSocket, showState } from "./socket.js";
import { OVER, progressWords, setText } from "./words.js";

export function followList(part) {
  const shown = new Map();
  for (const pill of all(HTMLElement, "[data-run-status]")) shown.set(Number(pill.dataset.runStatus), pill.textContent);
  new LiveSocket(
    part.dataset.socket,
    (message) => {
      if (message.type !== "runs") return;
      for (const run of message.runs) {
        const before = shown.get(run.run);
        if (before === undefined) continue;
        const status = run.interrupted ? "interrupted" : run.status;
        if (status !== before) {
          if (OVER.has(status)) {
            location.reload(); // Its best policy is known now.
            return;
          }
          shown.set(run.run, status);
          for (const pill of document.querySelectorAll(`[data-run-status="${run.run}"]`)) {
            pill.className = `pill ${status}`;
            pill.textContent = status;
          }
        }
        if (OVER.has(status)) continue;
        for (const words of document.querySelectorAll(`[data-run-progress="${run.run}"]`))
          setText(words, progressWords(run));
        for (const bar of all(HTMLProgressElement, `[data-run-bar="${run.run}"]`)) bar.value = run.progress;
      }
    },
    showState(part.querySelector("[data-live-state]")),
  );
}
