// Choices that show at once, buttons that count, forms that ask before they end something, and empty fields left out of addresses.
import { all } from "./dom.js";

export function setUpForms() {
  for (const field of all(HTMLSelectElement, "[data-submit-on-change]")) {
    field.addEventListener("change", () => field.form?.requestSubmit());
  }
  for (const form of all(HTMLFormElement, "form[method=get], form:not([method])")) {
    form.addEventListener("submit", () => {
      for (const field of /** @type {Iterable<any>} */ (form.elements)) {
        if (field.name && field.value === "") field.disabled = true;
      }
    });
  }
  addEventListener("pageshow", () => {
    for (const field of /** @type {Iterable<any>} */ (document.querySelectorAll("form :disabled[name]"))) {
      if (field.dataset.alwaysDisabled === undefined) field.disabled = false;
    }
  });
  for (const button of all(HTMLButtonElement, ".stepper [data-step]")) setUpStep(button);
  const focus = document.querySelector("form[data-focus]");
  if (focus instanceof HTMLFormElement) document.getElementById(focus.dataset.focus ?? "")?.focus();
  for (const form of all(HTMLFormElement, "form[data-confirm]")) {
    form.addEventListener("submit", (event) => {
      if (!confirm(form.dataset.confirm)) event.preventDefault();
    });
  }
}

// Counts up or down; what sends its form without scripts does not here.
/** @param {HTMLButtonElement} button */
function setUpStep(button) {
  const field = button.parentElement?.querySelector("input");
  if (!field) return;
  const from = Number(button.parentElement?.dataset.from ?? 0);
  button.hidden = false;
  button.addEventListener("click", (event) => {
    event.preventDefault();
    const count = Number((Number(field.value || from) + Number(button.dataset.step)).toFixed(6));
    const least = field.min === "" ? count : Number(field.min);
    // A text is of a change: none is left empty.
    field.value = count === from && field.type === "text" ? "" : String(Math.max(count, least));
    field.dispatchEvent(new Event("change", { bubbles: true }));
  });
}
