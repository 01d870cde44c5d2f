// Shows a model that was fitted while the page is open.
import { showState } from "./socket.js";

const ASK_EVERY = 5000; // ms

export function followTraining(part) {
  const show = showState(part.querySelector("[data-live-state]"));
  let heardAt = null;
  const ask = async () => {
    if (document.visibilityState === "visible") {
      try {
        const response = await fetch("/api/v1/models/?page_size=1&ordering=-id", { headers: { Accept: "application/json" } });
        if (!response.ok) throw new Error(`status ${response.status}`);
        const [newest] = (await response.json()).results;
        if (newest && newest.id > Number(part.dataset.newest)) {
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
