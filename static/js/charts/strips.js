// The series of a run's electricity under its schedule or its race: steps on the same axis of time.
import { find } from "../dom.js";
import { palette } from "./colours.js";
import { axisUnit, readable } from "./numbers.js";

export const EACH = 84; // px high, with its title
export const HEAD = 22; // px of that for the title
const NARROW = 560; // px, below which titles begin at the edge
const FOOT = 10; // px below the last one
const AXIS = 36; // px more below it for the labels of time

/**
 * @typedef {{
 *   kind: string, name: string, title: string, label: string, unit: string, finding: string,
 *   times: number[], values: (number | null)[], drawn_times: number[], drawn: (number | null)[],
 * }} Strip
 * @typedef {{ strips: Strip[], from: number, to: number, zero: number, left: number, right: number,
 *   said?: string, axis?: string }} Shown  axis: what the times are, where nothing above the strips says it
 */

export class Strips {
  /**
   * @param {HTMLElement} figure  that has a place for them
   * @param {any} echarts
   */
  constructor(figure, echarts) {
    this.echarts = echarts;
    this.area = find(HTMLElement, "[data-strips]", figure);
    this.words = find(HTMLElement, "[data-strips-finding]", figure);
    /** @type {any} */
    this.instance = null;
    /** @type {Shown | null} */
    this.shown = null;
  }

  /** @param {Shown} shown */
  draw(shown) {
    this.shown = shown;
    const { strips } = shown;
    this.area.hidden = this.words.hidden = !strips.length;
    this.words.textContent = shown.said ?? strips.map((one) => one.finding).join(" ");
    if (!strips.length) return;
    this.area.style.height = `${EACH * strips.length + FOOT + (shown.axis ? AXIS : 0)}px`;
    this.instance ??= this.echarts.init(this.area);
    this.instance.resize();
    this.instance.setOption(optionsOf(shown, palette(), this.area.clientWidth), { notMerge: true });
    this.area.dataset.drawn = String(strips.length);
  }

  redraw() {
    if (this.shown) this.draw(this.shown);
  }
}

/**
 * The limits and values of steps as points of a line with steps: each holds to its end, and what is unknown is a gap.
 * @param {number[]} times
 * @param {(number | null)[]} values
 */
export function points(times, values) {
  return values.flatMap((value, at) => {
    const point = [times[at], value];
    const ends = value !== null && (values[at + 1] ?? null) === null;
    return ends ? [point, [times[at + 1], value]] : [point];
  });
}

/**
 * Where the axis of values begins and ends: a little beyond those of the window, and at nothing where they come near it.
 * @param {Strip} strip
 * @param {number} from
 * @param {number} to
 */
export function reach({ times, values, drawn_times, drawn }, from, to) {
  const seen = (limits) => (value, at) => value !== null && limits[at] < to && limits[at + 1] > from;
  const known = [...values.filter(seen(times)), ...drawn.filter(seen(drawn_times))].map(Number);
  if (!known.length) return [0, 1];
  const least = Math.min(...known);
  const most = Math.max(...known);
  const room = 0.08 * (most - least || Math.abs(most) || 1);
  return [least >= 0 && least < 0.5 * most ? 0 : least - room, most + room];
}

/**
 * @param {Shown} shown
 * @param {Record<string, any>} colours
 * @param {number} width
 */
function optionsOf({ strips, from, to, zero, left, right, axis }, colours, width) {
  const unit = axisUnit("s", to - zero);
  const across = (time) => (time - zero) / unit.divisor;
  const titles = width < NARROW ? 8 : left;
  const line = (strip, at, times, values, name, colour) => ({
    type: "line",
    name,
    step: "end",
    symbol: "none",
    xAxisIndex: at,
    yAxisIndex: at,
    data: points(times, values).map(([time, value]) => [across(Number(time)), value]),
    lineStyle: { color: colour, width: 1.5, type: strip.drawn.length && name !== "drawn" ? "dashed" : "solid" },
    itemStyle: { color: colour },
    areaStyle:
      name === strip.name && !strip.drawn.length ? { color: colour, opacity: 0.15, origin: "start" } : undefined,
  });
  return {
    animation: false,
    textStyle: { fontFamily: "system-ui, sans-serif" },
    title: strips.map((strip, at) => ({
      text: strip.title,
      left: titles,
      top: EACH * at,
      padding: [4, 0],
      textStyle: {
        color: colours.muted,
        fontSize: 12,
        fontWeight: "normal",
        width: width - titles,
        overflow: "truncate",
      },
    })),
    grid: strips.map((_, at) => ({ left, right, top: EACH * at + HEAD, height: EACH - HEAD - 8 })),
    tooltip: {
      trigger: "axis",
      renderMode: "richText",
      confine: true,
      backgroundColor: colours.surface,
      borderColor: colours["line-strong"],
      textStyle: { color: colours.ink, fontSize: 12 },
      axisPointer: { lineStyle: { color: colours["line-strong"] } },
      formatter: (items) => said(strips, items, unit.divisor),
    },
    axisPointer: { link: [{ xAxisIndex: "all" }] },
    xAxis: strips.map((_, at) => ({
      type: "value",
      gridIndex: at,
      min: across(from),
      max: across(to),
      axisTick: { show: false },
      axisLine: { lineStyle: { color: colours["line-strong"] }, onZero: false },
      splitLine: { show: false },
      ...(axis && at === strips.length - 1
        ? labelled(`${axis} (${unit.name})`, colours)
        : { axisLabel: { show: false } }),
    })),
    yAxis: strips.map((strip, at) => {
      const [min, max] = reach(strip, from, to);
      return {
        type: "value",
        gridIndex: at,
        min,
        max,
        splitNumber: 2,
        axisLabel: {
          color: colours.muted,
          fontSize: 11,
          showMinLabel: min === 0,
          showMaxLabel: false,
          formatter: (value) => readable(value, ""),
        },
        splitLine: { lineStyle: { color: colours.line } },
      };
    }),
    series: strips.flatMap((strip, at) => [
      line(strip, at, strip.times, strip.values, strip.name, colours["better-fill"]),
      ...(strip.drawn.length ? [line(strip, at, strip.drawn_times, strip.drawn, "drawn", colours["worse-fill"])] : []),
    ]),
  };
}

// An axis of time with its name and labels.
export function labelled(name, colours) {
  return {
    name,
    nameLocation: "middle",
    nameGap: 26,
    nameTextStyle: { color: colours.muted },
    axisLabel: {
      color: colours.muted,
      showMinLabel: false,
      showMaxLabel: false,
      formatter: (value) => Number(value.toPrecision(6)),
    },
  };
}

/**
 * A value with its unit.
 * @param {Strip} strip
 * @param {number | null} value
 */
function amount({ unit }, value) {
  return value === null ? "no data" : `${readable(value, "")}${unit && ` ${unit}`}`;
}

/**
 * What the series are at an instant, in words.
 * @param {Strip[]} strips
 * @param {number} time
 */
export function now(strips, time) {
  return strips
    .map((strip) => {
      const at = strip.times.findLastIndex((begin) => begin <= time);
      // The last of the times is the end of the last step, whose value holds there too.
      const value = strip.values[Math.min(at, strip.values.length - 1)] ?? null;
      return `${strip.label} (${strip.name}): now ${amount(strip, value)}.`;
    })
    .join(" ");
}

function said(strips, items, second) {
  const lines = items.map(({ axisIndex, seriesName, value, marker }) => {
    const strip = strips[axisIndex];
    return `${marker}${seriesName === "drawn" ? "Drawn" : strip.label}  ${amount(strip, value[1])}`;
  });
  return [readable(items[0].value[0] * second, "s"), ...lines].join("\n");
}
