// Choices that show at once, forms that ask before they end something, and empty fields left out of addresses.
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
  for (const button of all(HTMLButtonElement, "[data-step]")) {
    const field = button.parentElement?.querySelector("input");
    if (!field) continue;
    button.addEventListener("click", (event) => {
      event.preventDefault(); // Without scripts the server counts.
      if (Number(button.dataset.step) > 0) field.stepUp();
      else field.stepDown();
    });
  }
  const focus = document.querySelector("form[data-focus]");
  if (focus instanceof HTMLFormElement) document.getElementById(focus.dataset.focus ?? "")?.focus();
  for (const form of all(HTMLFormElement, "form[data-confirm]")) {
    form.addEventListener("submit", (event) => {
      if (!confirm(form.dataset.confirm)) event.preventDefault();
    });
  }
}
