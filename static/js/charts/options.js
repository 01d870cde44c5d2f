// From a chart as the server describes it (scheduler_sim/display/charts.py) to what ECharts draws.
import { DASHES } from "./colours.js";
import { axisUnit, breakOf, logFloor, logTicks, readable, tickLabel } from "./numbers.js";

const FEW = 12; // Points that are shown one by one.
const MARKS = ["none", "circle", "triangle", "rect", "diamond"];
const ROOM_FOR_NAMES = { outerBoundsMode: "same", outerBoundsContain: "axisLabel", outerBoundsClampWidth: "50%" };
const MARK_EVERY = 48; // Points from one mark to the next.

export function optionsOf(chart, colours, width) {
  if (chart.kind === "interval") return intervalOptions(chart, colours, width);
  const series = chart.series;
  const horizontal = chart.kind === "bar" || chart.kind === "stack";
  const x = scaled(
    chart.x,
    series.flatMap((one) => one.x),
  );
  const y = scaled(
    chart.y,
    series.flatMap((one) => [...one.y, ...(one.low ?? []), ...(one.high ?? [])]),
  );
  // Bars so long that the others could not be told apart end there, with a gap, and say how long they are.
  const cap = chart.kind === "bar" ? breakOf(series.flatMap((one) => one.y)) : null;
  if (cap !== null) Object.assign(y, axisUnit(chart.y.unit, cap), { cap });
  const narrow = width < 560;
  const right = chart.kind === "bar" ? 72 : 20; // The values stand behind the bars.
  const several = series.length > 1 && chart.kind !== "bar" && !chart.plain;
  const legendRows = several
    ? rowsOfLegend(
        series.map((one) => one.name),
        width,
      )
    : 0;
  return {
    animation: false,
    textStyle: { fontFamily: "system-ui, sans-serif", color: colours.muted },
    grid: { left: 8, right, top: horizontal ? 4 : 28, bottom: 30 + 22 * legendRows, ...ROOM_FOR_NAMES },
    legend: several
      ? legendOf(colours, narrow, chart.kind === "line" || chart.kind === "step" ? series : null)
      : undefined,
    tooltip: tooltipOf(chart, colours, x, y),
    xAxis: axisOf(horizontal ? chart.y : chart.x, horizontal ? y : x, colours, false),
    yAxis: axisOf(horizontal ? chart.x : chart.y, horizontal ? x : y, colours, true, width - 8 - right),
    series: [
      ...series.map((one, number) => seriesOf(chart, one, number, { colours, x, y, horizontal })),
      ...series.filter((one) => one.low && one.high).flatMap((one) => bandOf(one, { colours, x, y })),
    ],
  };
}

// A band is its lower edge, unseen, and on top of it the height up to the upper edge, filled.
function bandOf(one, { colours, x, y }) {
  const rows = one.x.map((_, row) => row).filter((row) => one.low[row] !== null && one.high[row] !== null);
  const edge = (value) => rows.map((row) => [one.x[row] / x.divisor, value(row) / y.divisor]);
  const common = {
    type: "line",
    name: one.name,
    stack: `band ${one.name}`,
    stackStrategy: "all",
    symbol: "none",
    silent: true,
    tooltip: { show: false },
    lineStyle: { opacity: 0 },
    emphasis: { disabled: true },
  };
  return [
    { ...common, data: edge((row) => one.low[row]) },
    {
      ...common,
      data: edge((row) => one.high[row] - one.low[row]),
      areaStyle: { color: colours.policies[one.colour], opacity: 0.16 },
    },
  ];
}

function scaled(axis, values) {
  if (axis.scale === "category") return { divisor: 1, name: "", least: 0, largest: 0 };
  const numbers = values.filter((value) => value !== null && (axis.scale !== "log" || value > 0));
  const largest = numbers.reduce((most, value) => Math.max(most, value), 0);
  const least = numbers.reduce((low, value) => Math.min(low, value), Infinity);
  const unit = axis.scale === "log" ? { divisor: 1, name: "" } : axisUnit(axis.unit, largest);
  return { ...unit, least, largest };
}

function axisOf(axis, scale, colours, vertical, room = 0) {
  const cap = scale.cap === undefined ? null : scale.cap;
  const noted = [scale.name, cap === null ? "" : "bars with a gap are longer"].filter(Boolean).join("; ");
  const common = {
    name: axis.label + (noted ? ` (${noted})` : ""),
    nameTextStyle: { color: colours.muted, fontSize: 12, align: vertical ? "left" : "center" },
    nameLocation: vertical ? "end" : "middle",
    nameGap: vertical ? 12 : 28,
    axisLine: { show: !vertical, lineStyle: { color: colours["line-strong"] } },
    axisTick: { show: false },
    axisLabel: { color: colours.muted, fontSize: 12, hideOverlap: true },
    splitLine: { show: vertical || axis.scale === "log", lineStyle: { color: colours.line } },
  };
  if (axis.scale === "category") {
    return {
      ...common,
      type: "category",
      name: vertical ? "" : common.name,
      inverse: vertical,
      splitLine: { show: false },
      axisLabel: { ...common.axisLabel, ...(vertical ? namesOf(room) : {}) },
    };
  }
  if (axis.scale !== "log") {
    return {
      ...common,
      type: "value",
      scale: axis.scale === "free",
      max: cap !== null ? cap / scale.divisor : axis.unit === "share" ? atMostAll : undefined,
      splitLine: { show: true, lineStyle: { color: colours.line } },
    };
  }
  // What lies lowest has a tick below it, too.
  const least = vertical ? logFloor(axis.unit, scale.least) : scale.least;
  const ticks = logTicks(axis.unit, least, scale.largest);
  return {
    ...common,
    type: "log",
    min: Number.isFinite(least) ? least : undefined,
    max: scale.largest || undefined,
    axisLabel: { ...common.axisLabel, customValues: ticks, formatter: (value) => tickLabel(value, axis.unit) },
    axisTick: { show: false, customValues: ticks },
  };
}

function atMostAll(end) {
  return end.max > 60 ? 100 : undefined;
}

// Names beside bars take what they need of the room, up to half of it, and end in an ellipsis there.
function namesOf(room) {
  return { width: Math.round(room / 2) - 18, overflow: "truncate" };
}

// About as many rows as the names need: 7 px a letter, and the line before them.
function rowsOfLegend(names, width) {
  let rows = 1;
  let across = 0;
  for (const name of names) {
    const needs = 26 + 5 + 7 * name.length + 16;
    if (across + needs > width && across) {
      rows += 1;
      across = 0;
    }
    across += needs;
  }
  return rows;
}

function legendOf(colours, narrow, lines) {
  // The line and its dash, without a dot on it, unless marks tell runs apart.
  const data = lines?.map((one) => ({ name: one.name, itemStyle: { opacity: one.mark ? 1 : 0 } }));
  return {
    type: "plain",
    bottom: 0,
    left: 0,
    itemWidth: 26,
    itemGap: narrow ? 10 : 14,
    textStyle: { color: colours.ink, fontSize: 12 },
    ...(lines ? { data, lineStyle: { width: 3 } } : {}),
  };
}

function seriesOf(chart, one, number, { colours, x, y, horizontal }) {
  const colour =
    one.colour === null ? [colours["better-fill"], colours["line-strong"]][number % 2] : colours.policies[one.colour];
  const points = one.x.map((value, row) => {
    const across = chart.x.scale === "category" ? value : value / x.divisor;
    const up = one.y[row] === null ? null : one.y[row] / y.divisor;
    return horizontal ? [up, across] : [across, up];
  });
  const visible = points.filter(
    ([across, up]) => (chart.x.scale !== "log" || across > 0) && (chart.y.scale !== "log" || up > 0),
  );
  if (chart.kind === "scatter") {
    return {
      type: "scatter",
      name: one.name,
      data: visible,
      symbolSize: 4,
      large: visible.length > 2000,
      itemStyle: { color: colour, opacity: 0.45 },
      labels: one.labels,
      markLine: chart.x.scale === "log" ? diagonal(visible, colours) : undefined,
    };
  }
  if (horizontal || chart.kind === "column") {
    const cap = y.cap === undefined ? Infinity : y.cap / y.divisor;
    const broken = points.filter((point) => horizontal && point[0] > cap);
    return {
      type: "bar",
      name: one.name,
      data: points.map((point) => (broken.includes(point) ? { value: [cap, point[1]], real: point[0] } : point)),
      markPoint: broken.length ? gapsIn(broken, cap, colours) : undefined,
      stack: chart.kind === "stack" || chart.kind === "bar" ? "all" : undefined,
      barMaxWidth: chart.kind === "column" ? undefined : 22,
      barCategoryGap: chart.kind === "column" ? "8%" : "36%",
      itemStyle: { color: colour, borderRadius: 2 },
      label:
        chart.kind === "bar"
          ? {
              show: true,
              position: "right",
              color: colours.ink,
              formatter: (item) => readable((item.data?.real ?? item.value[0]) * y.divisor, chart.y.unit),
            }
          : undefined,
    };
  }
  const every = Math.min(MARK_EVERY, visible.length);
  return {
    type: "line",
    name: one.name,
    data: visible,
    step: chart.kind === "step" ? "end" : false,
    symbol: one.mark ? MARKS[1 + ((one.mark - 1) % (MARKS.length - 1))] : visible.length <= FEW ? "circle" : "none",
    symbolSize: one.mark ? (_value, item) => (item.dataIndex % every === every >> 1 ? 8 : 0) : 6,
    connectNulls: false,
    lineStyle: { color: colour, width: 2, type: DASHES[one.dash] },
    itemStyle: { color: colour },
    emphasis: { focus: "series", lineStyle: { width: 3 } },
  };
}

// Two strokes of the page's colour across each bar that is longer than drawn.
function gapsIn(broken, cap, colours) {
  return {
    silent: true,
    symbol: "path://M0 10 L4 0 L7 0 L3 10 Z M6 10 L10 0 L13 0 L9 10 Z",
    symbolSize: [14, 26],
    itemStyle: { color: colours.surface },
    label: { show: false },
    data: broken.map((point) => ({ coord: [0.92 * cap, point[1]] })),
  };
}

// Where both axes hold the same value.
function diagonal(points, colours) {
  const least = Math.max(Math.min(...points.map((point) => point[0])), Math.min(...points.map((point) => point[1])));
  const most = Math.min(Math.max(...points.map((point) => point[0])), Math.max(...points.map((point) => point[1])));
  if (!(most > least)) return undefined;
  return {
    silent: true,
    symbol: "none",
    label: { show: false },
    lineStyle: { color: colours["line-strong"], type: "dashed" },
    data: [[{ coord: [least, least] }, { coord: [most, most] }]],
  };
}

// One line from low to high for each policy, a dot at the mean, and where zero is.
function intervalOptions(chart, colours, width) {
  const values = chart.series.flatMap((one) => one.x);
  const { name, divisor } = axisUnit(chart.x.unit, Math.max(...values.map(Math.abs)));
  const names = chart.series.map((one) => one.name);
  return {
    animation: false,
    textStyle: { fontFamily: "system-ui, sans-serif", color: colours.muted },
    grid: { left: 8, right: 20, top: 8, bottom: 30, ...ROOM_FOR_NAMES },
    tooltip: {
      ...tooltipBase(colours),
      trigger: "item",
      formatter: (item) => {
        const one = chart.series[item.seriesIndex];
        return `${one.name}\n${readable(one.x[1], chart.x.unit)}\n95%: ${readable(one.x[0], chart.x.unit)} to ${readable(one.x[2], chart.x.unit)}`;
      },
    },
    xAxis: axisOf(chart.x, { name, divisor, least: 0, largest: 0 }, colours, false),
    yAxis: {
      type: "category",
      data: names,
      inverse: true,
      axisLabel: { color: colours.ink, ...namesOf(width - 8 - 20) },
      axisLine: { show: false },
      axisTick: { show: false },
      splitLine: { show: true, lineStyle: { color: colours.line } },
    },
    series: chart.series.map((one, number) => ({
      type: "line",
      name: one.name,
      data: one.x.map((value) => [value / divisor, one.name]),
      symbol: (_value, item) => (item.dataIndex === 1 ? "circle" : "rect"),
      symbolSize: (_value, item) => (item.dataIndex === 1 ? 9 : [2, 12]),
      lineStyle: { color: colours.policies[one.colour], width: 2 },
      itemStyle: { color: colours.policies[one.colour] },
      markLine:
        number === 0
          ? {
              silent: true,
              symbol: "none",
              label: { show: false },
              lineStyle: { color: colours.ink, type: "solid", width: 1 },
              data: [{ xAxis: 0 }],
            }
          : undefined,
    })),
  };
}

function tooltipBase(colours) {
  return {
    renderMode: "richText", // The other mode writes style attributes, which the security policy forbids.
    confine: true,
    backgroundColor: colours.surface,
    borderColor: colours["line-strong"],
    textStyle: { color: colours.ink, fontSize: 12 },
  };
}

function tooltipOf(chart, colours, x, y) {
  const common = tooltipBase(colours);
  const value = (number, axis, scale) => readable(number === null ? null : number * scale.divisor, axis.unit);
  if (chart.kind === "scatter") {
    return {
      ...common,
      trigger: "item",
      formatter: (item) => {
        const label = chart.series[item.seriesIndex]?.labels?.[item.dataIndex];
        return `${label ?? item.seriesName}\n${chart.x.label}: ${value(item.value[0], chart.x, x)}\n${chart.y.label}: ${value(item.value[1], chart.y, y)}`;
      },
    };
  }
  const horizontal = chart.kind === "bar" || chart.kind === "stack";
  return {
    ...common,
    trigger: "axis",
    axisPointer: {
      type: horizontal || chart.kind === "column" ? "shadow" : "line",
      lineStyle: { color: colours["line-strong"] },
      shadowStyle: { opacity: 0.12 },
    },
    formatter: (items) => {
      const across = items[0].value[horizontal ? 1 : 0];
      const head = chart.x.scale === "category" ? across : `${chart.x.label} ${value(across, chart.x, x)}`;
      const shown = (item) => item.data?.real ?? item.value[horizontal ? 0 : 1];
      const lines = items
        .filter((item) => item.seriesIndex < chart.series.length && shown(item) !== null)
        .sort((one, other) => other.value[1] - one.value[1])
        .map((item) => `${item.marker}${item.seriesName}  ${value(shown(item), chart.y, y)}`);
      return [head, ...lines].join("\n");
    },
  };
}
