// Everything here only adds to pages that work without it.
import { setUpCopying } from "./copying.js";
import { setUpForms } from "./forms.js";
import { setUpKeyboard } from "./keyboard.js";
import { setUpTheme } from "./theme.js";

setUpTheme();
setUpKeyboard();
setUpCopying();
setUpForms();

const library = document.body.dataset.charts;
const ready =
  library && document.querySelector("[data-chart], [data-gantt]")
    ? import("./charts/charts.js").then((charts) => charts.drawAll(library))
    : Promise.resolve();

if (document.querySelector("[data-live]")) {
  import("./live/page.js").then((live) => live.follow(ready));
}

if (document.querySelector("[data-machine]")) {
  import("./machine/page.js").then((machine) => machine.setUpMachine(library));
}
