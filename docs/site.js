// Names for what the theme leaves without one, and tables that scroll can be reached by the keyboard.
window.addEventListener("load", () => {
  document.querySelector(".md-search")?.setAttribute("aria-label", "Search");
  for (const [number, navigation] of document.querySelectorAll(".md-code__nav").entries()) {
    navigation.setAttribute("aria-label", `Code ${number + 1}`);
  }
  for (const [number, wrap] of document.querySelectorAll(".md-typeset__scrollwrap").entries()) {
    wrap.setAttribute("tabindex", "0");
    wrap.setAttribute("role", "region");
    wrap.setAttribute("aria-label", `Table ${number + 1}`);
  }
});
