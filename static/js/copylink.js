// Copies the address of the view: all of its state stands in the query string.
import { all } from "./dom.js";

export function setUpCopyLinks() {
  for (const button of all(HTMLButtonElement, "[data-copy-link]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const label = button.textContent;
      button.textContent = (await copy(location.href)) ? "Copied" : "Copy it from the address bar";
      setTimeout(() => {
        button.textContent = label;
      }, 2000);
    });
  }
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false; // Browsers give the clipboard only to secure pages.
  }
}
