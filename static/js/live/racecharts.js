// The live charts: drawn, put in one sentence, written out as a table, and offered as CSV and JSON.
import { readable } from "../charts/numbers.js";
import { offerNumbers } from "./downloads.js";
import { RaceStrips } from "./strips.js";
import { CLOCK, setText } from "./words.js";

const ROWS = 12; // of the table behind a chart; the CSV has all points

export class RaceCharts {
  constructor(part, series, looks) {
    this.series = series;
    this.looks = looks; // policy -> {colour, dash}
    this.strips = new RaceStrips(part.querySelector("[data-race-strips]"), series);
    this.figures = [...part.querySelectorAll("[data-race-chart]")];
    for (const figure of this.figures) {
      const { raceChart: key, title } = figure.dataset;
      offerNumbers(figure.querySelector(".tools"), title, () => points(series.of(key), key));
    }
  }

  async draw(ready) {
    if (!this.figures.length) return;
    await ready;
    const charts = await import("../charts/charts.js");
    await charts.getReady(document.body.dataset.charts);
    for (const figure of this.figures) this.one(figure, charts);
    await this.strips.draw();
  }

  one(figure, charts) {
    const { raceChart: key, title, unit } = figure.dataset;
    const series = this.series.of(key);
    if (!series.length) return;
    setText(figure.querySelector(".finding"), sentence(series, unit));
    if (figure.querySelector("details").open) fill(figure.querySelector("[data-race-points]"), series, unit);
    charts.draw(figure.querySelector(".chart-area"), {
      kind: "line",
      title,
      x: { label: CLOCK, unit: "s", scale: "linear" },
      y: { label: title, unit, scale: "linear" },
      series: series.map((one) => ({ ...one, ...this.looks(one.name) })),
      group: "race",
      plain: true,
    });
  }
}

function sentence(series, unit) {
  const now = series
    .map(({ name, y }) => ({ name, value: y[y.length - 1] }))
    .filter(({ value }) => value !== null && value !== undefined);
  if (!now.length) return "No data yet.";
  now.sort((one, other) => one.value - other.value);
  const [low, high] = [now[0], now[now.length - 1]];
  if (low.value === high.value)
    return `Now ${readable(low.value, unit)} under ${now.length > 1 ? "every policy" : low.name}.`;
  return `Now lowest under ${low.name}, ${readable(low.value, unit)}; highest under ${high.name}, ${readable(high.value, unit)}.`;
}

function points(series, key) {
  return series.flatMap(({ name, x, y }) =>
    x.map((time, row) => ({ scheduler: name, simulated_seconds: time, [key]: y[row] })),
  );
}

function fill(table, series, unit) {
  const times = series[0].x;
  const step = Math.max(1, Math.ceil(times.length / ROWS));
  const rows = times.map((_, row) => row).filter((row) => row % step === 0 || row === times.length - 1);
  const head = line("th", ["Time", ...series.map(({ name }) => name)]);
  const body = rows.map((row) =>
    line("td", [readable(times[row], "s"), ...series.map(({ y }) => readable(y[row], unit))]),
  );
  const groups = ["thead", "tbody"].map((name) => document.createElement(name));
  groups[0].append(head);
  groups[1].append(...body);
  table.replaceChildren(...groups);
}

function line(kind, texts) {
  const row = document.createElement("tr");
  row.append(
    ...texts.map((text, number) => {
      const cell = document.createElement(number ? kind : "th");
      if (kind === "th" || !number) cell.scope = kind === "th" ? "col" : "row";
      cell.textContent = text;
      cell.className = number ? "number" : "nowrap";
      return cell;
    }),
  );
  return row;
}
