// Finds the page's charts, fetches their numbers once for each address, draws them, and offers them as pictures.
import { all, find } from "../dom.js";
import { fileName, save, saveBlob } from "../files.js";
import { forgetPalette, palette } from "./colours.js";
import { optionsOf } from "./options.js";

/** @type {any} */
let echarts;
const drawn = new Map(); // area -> {instance, chart}

document.addEventListener("themechange", redraw);

export async function drawAll(library) {
  const areas = all(HTMLElement, "[data-chart]");
  const sources = new Map();
  for (const area of areas) {
    const source = area.dataset.source;
    if (!sources.has(source)) sources.set(source, load(source));
  }
  await getReady(library);
  await Promise.all(
    areas.map(async (area) => {
      try {
        const charts = await sources.get(area.dataset.source);
        const chart = charts[area.dataset.chart ?? ""];
        if (chart) draw(area, chart);
      } catch (error) {
        area.textContent = `The numbers could not be loaded (${error.message}). Reload the page to try again.`;
      }
    }),
  );
  const gantts = document.querySelectorAll("[data-gantt]:not([data-panel] *)");
  if (gantts.length) {
    const { setUpGantt } = await import("./gantt.js");
    for (const area of gantts) setUpGantt(area, echarts, offerPictures);
  }
  document.documentElement.dataset.chartsDrawn = String(drawn.size + gantts.length);
  performance.mark("charts-drawn");
}

export async function getReady(library) {
  echarts ??= await import(library);
}

export async function load(source) {
  const response = await fetch(source, { headers: { Accept: "application/json" } });
  if (!response.ok) throw new Error(`status ${response.status}`);
  return (await response.json()).charts;
}

export function draw(area, chart) {
  let entry = drawn.get(area);
  if (!entry) {
    const instance = echarts.init(area, null, { renderer: "canvas" });
    if (chart.group) {
      instance.group = chart.group;
      echarts.connect(chart.group);
    }
    entry = { instance, chart };
    drawn.set(area, entry);
    // An observer is also told of the size it begins with, which is the one just drawn for.
    new ResizeObserver(() => {
      if (area.clientWidth === instance.getWidth() && area.clientHeight === instance.getHeight()) return;
      instance.resize();
      draw(area, entry.chart); // The legend takes as many rows as the width asks for.
    }).observe(area);
    offerPictures(area, () => entry.instance.getOption(), instance, chart.title);
  }
  entry.chart = chart;
  entry.instance.setOption(optionsOf(chart, palette(), area.clientWidth), { replaceMerge: ["series"] });
}

function redraw() {
  forgetPalette();
  for (const [area, { chart }] of drawn) draw(area, chart);
}

// `options` makes the drawing anew as SVG; null where the server draws one.
export function offerPictures(area, options, instance, title) {
  const tools = find(HTMLElement, ".tools", area.closest(".chart"));
  const button = (label, make) => {
    const element = document.createElement("button");
    element.type = "button";
    element.textContent = label;
    element.setAttribute("aria-label", `${label} picture: ${title}`);
    element.addEventListener("click", make);
    tools.append(element);
  };
  const name = fileName(title, document.title);
  button("PNG", () => save(instance.getDataURL({ pixelRatio: 2, backgroundColor: palette().surface }), `${name}.png`));
  if (!options) return;
  button("SVG", () => {
    const copy = echarts.init(null, null, {
      renderer: "svg",
      ssr: true,
      width: area.clientWidth,
      height: area.clientHeight,
    });
    copy.setOption({ ...options(), backgroundColor: palette().surface });
    saveBlob(new Blob([copy.renderToSVGString()], { type: "image/svg+xml" }), `${name}.svg`);
    copy.dispose();
  });
}
