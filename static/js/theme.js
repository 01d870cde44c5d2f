// The switch of colours: after the system, dark, light. The server reads the same cookie.
import { find } from "./dom.js";

const ORDER = ["", "dark", "light"];
const LABEL = { "": "Auto", dark: "Dark", light: "Light" };

export function setUpTheme() {
  const form = document.querySelector("[data-theme-switch]");
  if (!form) return;
  const button = form.querySelector("button");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const now = document.documentElement.dataset.theme ?? "";
    apply(ORDER[(ORDER.indexOf(now) + 1) % ORDER.length], button);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", announce);
}

function apply(theme, button) {
  if (theme) {
    document.documentElement.dataset.theme = theme;
  } else {
    delete document.documentElement.dataset.theme;
  }
  // biome-ignore lint/suspicious/noDocumentCookie: the cookie store exists on secure pages only
  document.cookie = `theme=${theme}; path=/; max-age=${theme ? 31536000 : 0}; samesite=lax`;
  find(HTMLElement, "[data-theme-name]", button).textContent = LABEL[theme];
  announce();
}

function announce() {
  document.dispatchEvent(new Event("themechange"));
}
