// While a study is played: its progress and what came out so far, asked for again; at its end the whole page.
import { askAgain } from "./again.js";

const EVERY = 3000; // ms
const PARTS = ["study-progress", "outcome"];

askAgain("[data-study-progress]", EVERY, (newer) => {
  for (const id of PARTS) {
    const [old, now] = [document.getElementById(id), newer.getElementById(id)];
    if (old && now && !old.contains(document.activeElement)) old.replaceWith(document.adoptNode(now));
  }
});
