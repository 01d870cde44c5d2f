// A what-if: a link that plays at once, and the answer as soon as it is there.
import { askAgain } from "./again.js";
import { all } from "./dom.js";

const ASK_EVERY = 1000; // ms

const [playing] = all(HTMLFormElement, "form[data-plays-now]");
playing?.requestSubmit();

if (document.querySelector("[data-waits]")) {
  askAgain("[data-waits]", ASK_EVERY, (newer) => {
    const [old, now] = [document, newer].map((page) => page.querySelector("[data-waits] [role=status]"));
    if (old && now && old.textContent !== now.textContent) old.textContent = now.textContent;
  });
}
