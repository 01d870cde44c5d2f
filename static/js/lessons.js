// Which lessons were answered, kept by this browser alone.
import { all } from "./dom.js";

const KEY = "lessons";
const WORDS = { tried: "Tried, not right yet", right: "Answered right" };

const kept = read();
for (const { dataset } of all(HTMLElement, "[data-lesson-state]")) {
  const { lesson = "", lessonState: state } = dataset;
  if (kept[lesson] !== "right") keep({ ...kept, [lesson]: state });
}
const marks = all(HTMLElement, "[data-lesson-mark]");
const stateOf = (mark) => kept[mark.dataset.lessonMark];
for (const mark of marks) mark.textContent = WORDS[stateOf(mark)] ?? mark.textContent;
const right = marks.filter((mark) => stateOf(mark) === "right").length;
for (const line of all(HTMLElement, "[data-lessons-done]")) {
  line.hidden = !right;
  line.textContent = `${right} of ${marks.length} answered right, as this browser remembers.`;
}

function read() {
  try {
    const found = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    return found !== null && typeof found === "object" ? found : {};
  } catch {
    return {}; // Some browsers keep nothing.
  }
}

function keep(states) {
  try {
    localStorage.setItem(KEY, JSON.stringify(states));
  } catch {
    // Then the list marks nothing; the lesson itself needs it for nothing.
  }
}
