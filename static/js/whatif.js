// A what-if: buttons that count up and down, a link that plays at once, and the answer as soon as it is there.
import { all } from "./dom.js";

const ASK_EVERY = 1000; // ms

for (const button of all(HTMLButtonElement, ".stepper [data-step]")) {
  const field = button.parentElement?.querySelector("input");
  if (!field) continue;
  button.hidden = false;
  button.addEventListener("click", () => {
    field.value = String(Number(field.value || 0) + Number(button.dataset.step));
    if (field.value === "0") field.value = "";
    field.dispatchEvent(new Event("change", { bubbles: true }));
  });
}

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
