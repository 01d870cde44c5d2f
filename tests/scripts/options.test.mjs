import assert from "node:assert/strict";
import { test } from "node:test";
import { optionsOf } from "../../static/js/charts/options.js";

const colours = {
  ink: "#000",
  muted: "#666",
  line: "#ddd",
  "line-strong": "#999",
  surface: "#fff",
  "better-fill": "#00f",
  policies: Array.from({ length: 12 }, (_, number) => `#${number}`),
};

const line = (name, x, y, more = {}) => ({ name, x, y, colour: 1, dash: 0, mark: 0, ...more });

const chart = (series, more = {}) => ({
  kind: "line",
  title: "A chart",
  x: { label: "Time", unit: "s", scale: "linear" },
  y: { label: "Waiting", unit: "", scale: "linear" },
  series,
  ...more,
});

test("points are divided by the unit that the axis names", () => {
  const options = optionsOf(chart([line("fcfs", [0, 7200], [1, 2])]), colours, 800);
  assert.equal(options.xAxis.name, "Time (h)");
  assert.deepEqual(options.series[0].data, [
    [0, 1],
    [2, 2],
  ]);
});

test("a gap stays a gap", () => {
  const options = optionsOf(chart([line("fcfs", [0, 1, 2], [1, null, 2])]), colours, 800);
  assert.equal(options.series[0].data[1][1], null);
  assert.equal(options.series[0].connectNulls, false);
});

test("a logarithmic axis leaves out what it cannot show", () => {
  const axis = { label: "Run time", unit: "s", scale: "log" };
  const options = optionsOf(chart([line("fcfs", [0, 10, 100], [1, 2, 3])], { x: axis }), colours, 800);
  assert.deepEqual(
    options.series[0].data.map(([x]) => x),
    [10, 100],
  );
  assert.equal(options.xAxis.min, 10);
});

test("bars lie, so that long names can be read, and say their value", () => {
  const bars = chart([line("mean", ["fcfs", "sjf"], [7200, 3600], { colour: null })], {
    kind: "bar",
    x: { label: "Policy", unit: "", scale: "category" },
    y: { label: "JCT", unit: "s", scale: "linear" },
  });
  const options = optionsOf(bars, colours, 800);
  assert.equal(options.yAxis.type, "category");
  assert.deepEqual(options.series[0].data, [
    [2, "fcfs"],
    [1, "sjf"],
  ]);
  assert.equal(options.series[0].label.formatter({ value: [2, "fcfs"] }), "2 h");
});

test("one line needs no legend, several have one that takes the rows it needs", () => {
  assert.equal(optionsOf(chart([line("fcfs", [0], [1])]), colours, 800).legend, undefined);
  const many = ["first-come-first-served", "shortest-job-first", "largest-job-first"].map((name) =>
    line(name, [0], [1]),
  );
  const bottom = (width) => optionsOf(chart(many), colours, width).grid.bottom;
  assert.equal(bottom(800), 30 + 22);
  assert.ok(bottom(320) > bottom(800));
});

test("a band adds its lower edge and its height, and no line of its own to the legend", () => {
  const options = optionsOf(chart([line("fcfs", [0, 1], [5, 6], { low: [4, 5], high: [6, 8] })]), colours, 800);
  const [, low, height] = options.series;
  assert.deepEqual(
    low.data.map(([, y]) => y),
    [4, 5],
  );
  assert.deepEqual(
    height.data.map(([, y]) => y),
    [2, 3],
  );
});

test("an interval reads low, mean and high, and zero is marked once", () => {
  const intervals = chart([line("sjf", [-7200, -3600, 0], ["sjf", "sjf", "sjf"]), line("fcfs", [0, 1, 2], [])], {
    kind: "interval",
  });
  const options = optionsOf(intervals, colours, 800);
  assert.deepEqual(
    options.series[0].data.map(([x]) => x),
    [-2, -1, 0],
  );
  assert.deepEqual(
    options.series.map((one) => Boolean(one.markLine)),
    [true, false],
  );
  assert.equal(options.tooltip.formatter({ seriesIndex: 0 }), "sjf\n-60 min\n95%: -2 h to 0 s");
});

test("the tooltip sorts the policies and speaks of what is there", () => {
  const options = optionsOf(chart([line("fcfs", [0], [3]), line("sjf", [0], [5])]), colours, 800);
  const items = [
    { seriesIndex: 0, seriesName: "fcfs", marker: "", value: [0, 3] },
    { seriesIndex: 1, seriesName: "sjf", marker: "", value: [0, 5] },
    { seriesIndex: 1, seriesName: "gone", marker: "", value: [0, null] },
  ];
  assert.equal(options.tooltip.formatter(items), "Time 0 s\nsjf  5\nfcfs  3");
});

const bars = (values) =>
  optionsOf(
    chart([line("mean", ["a", "b", "c", "d"], values, { colour: null })], {
      kind: "bar",
      x: { label: "Policy", unit: "", scale: "category" },
      y: { label: "JCT", unit: "s", scale: "linear" },
    }),
    colours,
    800,
  );

test("a bar far longer than the others is broken and says its whole value", () => {
  const { series, xAxis } = bars([100, 120, 110, 36_000]);
  const [, , , broken] = series[0].data;
  assert.equal(broken.real, 600);
  assert.ok(broken.value[0] < 3);
  assert.equal(xAxis.max, broken.value[0]);
  assert.match(xAxis.name, /bars with a gap are longer/);
  assert.equal(series[0].label.formatter({ data: broken, value: broken.value }), "10 h");
  assert.equal(series[0].markPoint.data.length, 1);
});

test("bars that can be told apart are whole, and so are two", () => {
  for (const values of [
    [100, 120, 110, 700],
    [100, null, null, 36_000],
  ]) {
    const { series, xAxis } = bars(values);
    assert.equal(series[0].markPoint, undefined);
    assert.equal(xAxis.max, undefined);
  }
});

test("a logarithmic axis holds the lowest band, and has a tick below it", () => {
  const slowdown = { label: "Mean slowdown", unit: "", scale: "log" };
  const banded = line("fcfs", [1, 2], [30, 400], { low: [12, 300], high: [50, 600] });
  const { yAxis } = optionsOf(chart([banded], { y: slowdown }), colours, 800);
  assert.equal(yAxis.min, 10);
  assert.deepEqual(yAxis.axisLabel.customValues, [10, 100]);
});
