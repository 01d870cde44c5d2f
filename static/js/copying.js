// Copies the address of the view, whose state stands in the query string, or a text of the page.
import { all } from "./dom.js";

export function setUpCopying() {
  for (const button of all(HTMLButtonElement, "[data-copy-link]")) {
    copyOnClick(button, () => location.href, "Copy it from the address bar");
  }
  for (const button of all(HTMLButtonElement, "[data-copy-text]")) {
    const source = document.getElementById(button.dataset.copyText ?? "");
    copyOnClick(button, () => source?.textContent ?? "", "Mark it and copy it");
  }
}

function copyOnClick(button, text, otherwise) {
  const label = button.textContent;
  button.hidden = false;
  button.addEventListener("click", async () => {
    button.textContent = (await copy(text())) ? "Copied" : otherwise;
    setTimeout(() => {
      button.textContent = label;
    }, 2000);
  });
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false; // Browsers give the clipboard only to secure pages.
  }
}
