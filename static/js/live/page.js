// Which part of the page is live, and what follows it.
import { find } from "../dom.js";

export async function follow(charts) {
  const part = find(HTMLElement, "[data-live]");
  if (part.dataset.live === "run") {
    const { followRun } = await import("./race.js");
    followRun(part, charts);
  } else if (part.dataset.live === "list") {
    const { followList } = await import("./list.js");
    followList(part);
  } else if (part.dataset.live === "training") {
    const { followTraining } = await import("./training.js");
    followTraining(part, charts);
  } else {
    const { followImport } = await import("./import.js");
    followImport(part);
  }
}
