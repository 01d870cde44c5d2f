// A what-if: a link that plays at once, and the answer as soon as it is there.
import { all } from "./dom.js";

const ASK_EVERY = 1000; // ms

const [playing] = all(HTMLFormElement, "form[data-plays-now]");
playing?.requestSubmit();

async function look() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!answer.ok) return;
  const newer = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (!newer.querySelector("[data-waits]")) {
    location.reload();
    return;
  }
  const [old, now] = [document, newer].map((page) => page.querySelector("[data-waits] [role=status]"));
  if (old && now && old.textContent !== now.textContent) old.textContent = now.textContent;
}

if (document.querySelector("[data-waits]")) {
  setInterval(() => {
    // A server that is away for a moment is asked again.
    if (!document.hidden) look().catch(() => {});
  }, ASK_EVERY);
}
