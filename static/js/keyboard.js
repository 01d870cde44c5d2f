// "/" to search, "?" for help.
import { find } from "./dom.js";

export function setUpKeyboard() {
  const search = find(HTMLInputElement, "#site-search");
  const dialog = find(HTMLDialogElement, "[data-help-dialog]");
  const button = find(HTMLButtonElement, "[data-help]");
  button.hidden = false;
  button.addEventListener("click", () => dialog.showModal());
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    if (event.key === "/") {
      event.preventDefault();
      search.focus();
      search.select();
    } else if (event.key === "?") {
      event.preventDefault();
      dialog.showModal();
    }
  });
}

function isTyping(element) {
  return element.closest("input, select, textarea, [contenteditable]") !== null;
}
