// Where and when tasks ran. The server sends what the visible window can show; zooming and panning ask again.
import { palette } from "./colours.js";
import { axisUnit, readable } from "./numbers.js";
import { labelled, Strips } from "./strips.js";
import { inside, isWhole, stepped, zoomed } from "./window.js";

const WAIT = 150; // ms of rest before the server is asked
export const RIGHT = 20; // px beside the drawing
export const TOP = 8; // px above it
export const BOTTOM = 44; // px below it
const ROWS = 100; // of the table behind the chart; the CSV has all
const FILLED = 0.86; // of a lane's height
const LETTER = 7; // px, how wide one is

export function setUpGantt(area, echarts, offerPictures) {
  const chart = new Gantt(area, echarts);
  offerPictures(area, null, chart.instance, "Where and when tasks ran");
  // Read when it comes into view: most visitors look at the figures first.
  const watch = new IntersectionObserver(
    (entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      watch.disconnect();
      chart.show(chart.wanted.from, chart.wanted.to);
    },
    { rootMargin: "200px" },
  );
  watch.observe(area);
}

export class Gantt {
  constructor(area, echarts) {
    this.area = area;
    this.figure = area.closest("figure");
    this.echarts = echarts;
    this.instance = echarts.init(area);
    this.strips = new Strips(this.figure, echarts);
    this.policy = this.figure.querySelector("[data-gantt-policy]");
    const query = new URLSearchParams(location.search);
    if (query.has("gantt")) this.policy.value = query.get("gantt");
    this.colour = this.figure.querySelector("[data-gantt-colour]");
    if (query.has("colour")) this.colour.value = query.get("colour");
    if (!this.colour.value) this.colour.selectedIndex = 0;
    const time = (name) => (query.has(name) ? Number(query.get(name)) : null);
    this.wanted = { from: time("from"), to: time("to") };
    this.request = 0;
    /** @type {AbortController | undefined} */
    this.asked = undefined;
    this.left = 0; // px before the drawing
    /** @type {any} */
    this.data = null;
    new ResizeObserver(() => {
      if (area.clientWidth === this.instance.getWidth()) return;
      this.instance.resize();
      if (this.data) this.draw();
    }).observe(area);
    for (const choice of [this.policy, this.colour]) {
      choice.addEventListener("change", () => this.show(this.wanted.from, this.wanted.to));
    }
    this.instance.on("click", ({ seriesName, dataIndex }) => {
      if (seriesName === "tasks" && !this.dragged) location.assign(this.taskAddress(this.data.items[dataIndex]));
    });
    for (const button of this.figure.querySelectorAll("[data-go]")) {
      button.addEventListener("click", () => this.go(button.dataset.go));
    }
    area.addEventListener("keydown", (event) => this.key(event));
    area.addEventListener("dblclick", (event) => {
      if (this.data) this.openAt(this.timeAt(event.clientX));
    });
    area.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    this.figure.querySelector("[data-gantt-table]").addEventListener("toggle", () => this.fill());
    this.dragging();
    document.addEventListener("themechange", () => this.data && this.draw());
  }

  taskAddress(item) {
    return this.area.dataset.tasks.replace(/0\/$/, `${item[5]}/`);
  }

  address(ending, from, to) {
    const query = new URLSearchParams({ policy: this.policy.value });
    if (this.colour.selectedIndex > 0) query.set("colour", this.colour.value);
    if (from !== null) query.set("from", from);
    if (to !== null) query.set("to", to);
    return `${this.area.dataset.gantt.replace(/json$/, ending)}?${query}`;
  }

  async show(from, to) {
    this.wanted = { from, to };
    const request = ++this.request;
    this.asked?.abort();
    this.asked = new AbortController();
    try {
      const response = await fetch(this.address("json", from, to), { signal: this.asked.signal });
      if (!response.ok) throw new Error(`status ${response.status}`);
      const data = await response.json();
      if (request !== this.request) return; // A newer one is on its way.
      this.data = data;
    } catch (error) {
      if (request === this.request) this.say(`The placements could not be loaded (${error.message}).`);
      return;
    }
    this.remember();
    this.draw();
    this.fill();
    this.area.dataset.drawn = this.data.level;
  }

  // The table is written only while somebody looks at it.
  fill() {
    const part = this.figure.querySelector("[data-gantt-table]");
    if (!part.open || !this.data) return;
    const { items, level } = this.data;
    const shown = items.slice(0, ROWS);
    part.querySelector("[data-gantt-rows]").textContent =
      items.length > ROWS ? `The first ${ROWS} of ${items.length.toLocaleString("en-GB")}; the CSV has all.` : "";
    const names =
      level === "shades"
        ? ["Where", "From", "To", "Amount"]
        : ["Task", "Where", "Start", "Finish", "Cores", "GPUs", "Attempt", "Work"];
    const rows = shown.map((item) => (level === "shades" ? shadeRow(this.data, item) : taskRow(this.data, item)));
    const table = part.querySelector("[data-gantt-cells]");
    table.replaceChildren();
    const head = table.createTHead().insertRow();
    names.forEach((name) => {
      const cell = document.createElement("th");
      cell.scope = "col";
      cell.textContent = name;
      head.append(cell);
    });
    const body = table.createTBody();
    for (const texts of rows) {
      const row = body.insertRow();
      for (const text of texts) row.insertCell().textContent = text;
    }
    if (level === "shades") return;
    [...body.rows].forEach((row, at) => {
      const link = document.createElement("a");
      link.href = this.taskAddress(shown[at]);
      link.textContent = row.cells[0].textContent;
      row.cells[0].replaceChildren(link);
    });
  }

  say(text) {
    this.figure.querySelector("[data-gantt-finding]").textContent = text;
  }

  remember() {
    const { window_from: from, window_to: to } = this.data;
    const whole = isWhole(this.data);
    const query = new URLSearchParams(location.search);
    query.set("gantt", this.policy.value);
    for (const [name, value] of [
      ["from", from],
      ["to", to],
    ]) {
      if (whole) query.delete(name);
      else query.set(name, value.toFixed(0));
    }
    if (whole && this.policy.selectedIndex === 0) query.delete("gantt");
    if (this.colour.selectedIndex > 0) query.set("colour", this.colour.value);
    else query.delete("colour");
    const text = query.toString();
    history.replaceState(null, "", `${location.pathname}${text ? `?${text}` : ""}${location.hash}`);
    this.offer(whole ? null : from, whole ? null : to);
  }

  // Downloads are of what is seen, and so is the instant in its middle.
  offer(from, to) {
    for (const link of this.figure.querySelectorAll("[data-gantt-download]")) {
      link.href = this.address(link.dataset.ganttDownload, from, to);
    }
    const middle = this.figure.querySelector("[data-gantt-at]");
    if (middle) middle.href = this.instantAddress((this.data.window_from + this.data.window_to) / 2);
  }

  instantAddress(time) {
    const query = new URLSearchParams({ policy: this.policy.value });
    return `${this.area.dataset.at}${time}/?${query}`;
  }

  openAt(time) {
    location.assign(this.instantAddress(time));
  }

  axisName() {
    return "Time after the first start";
  }

  move(from, to) {
    const [begin, end] = inside(this.data, from, to);
    this.data = { ...this.data, window_from: begin, window_to: end };
    this.draw();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.show(begin, end), WAIT);
  }

  go(where) {
    if (this.data) this.move(...stepped(this.data, where));
  }

  key(event) {
    const where = { ArrowLeft: "earlier", ArrowRight: "later", "+": "closer", "=": "closer", "-": "wider", 0: "all" }[
      event.key
    ];
    if (!where || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.go(where);
  }

  wheel(event) {
    // A plain wheel scrolls the page unless the chart has the focus.
    if (!this.data || (document.activeElement !== this.area && !event.ctrlKey)) return;
    event.preventDefault();
    const box = this.area.getBoundingClientRect();
    const share = (event.clientX - box.left - this.left) / (box.width - this.left - RIGHT);
    this.move(...zoomed(this.data, share, event.deltaY < 0 ? 0.8 : 1.25));
  }

  timeAt(x) {
    const box = this.area.getBoundingClientRect();
    const share = (x - box.left - this.left) / (box.width - this.left - RIGHT);
    const { window_from: from, window_to: to } = this.data;
    return from + (to - from) * Math.min(1, Math.max(0, share));
  }

  dragging() {
    /** @type {{ x: number, from: number, to: number } | null} */
    let began = null;
    this.area.addEventListener("pointerdown", (event) => {
      if (!this.data || event.pointerType === "touch") return;
      this.dragged = false;
      began = { x: event.clientX, from: this.data.window_from, to: this.data.window_to };
      this.area.focus({ preventScroll: true });
    });
    addEventListener("pointermove", (event) => {
      if (!began) return;
      const shift = ((event.clientX - began.x) / (this.area.clientWidth - this.left - RIGHT)) * (began.to - began.from);
      if (Math.abs(event.clientX - began.x) <= 3) return;
      this.dragged = true;
      this.move(began.from - shift, began.to - shift);
    });
    addEventListener("pointerup", () => {
      began = null;
    });
  }

  draw() {
    const { data } = this;
    this.say(data.finding);
    const colours = palette();
    const span = data.window_to - data.window_from;
    const unit = axisUnit("s", data.window_to - data.first);
    // Room for the longest name: about 7 px a letter.
    const letters = data.processors ? 9 : data.lanes.reduce((most, lane) => Math.max(most, lane.length), 0);
    this.left = Math.min(16 + LETTER * letters, 148, this.area.clientWidth / 3);
    const shades = data.level === "shades";
    const kinds = classColours(data, colours);
    this.legend(kinds);
    const hours = (time) => (time - data.first) / unit.divisor;
    const most = shades ? data.items.reduce((highest, item) => Math.max(highest, item[3]), 0) : 0;
    const column = shades ? 1 : 3;
    const hatch = { image: hatching(colours.surface), repeat: "repeat" };
    this.instance.setOption(
      {
        animation: false,
        textStyle: { fontFamily: "system-ui, sans-serif" },
        grid: { left: this.left, right: RIGHT, top: TOP, bottom: BOTTOM },
        tooltip: {
          renderMode: "richText",
          confine: true,
          backgroundColor: colours.surface,
          borderColor: colours["line-strong"],
          textStyle: { color: colours.ink, fontSize: 12 },
          formatter: ({ seriesName, dataIndex }) =>
            seriesName === "areas" ? describeArea(data, data.areas[dataIndex]) : describe(data, data.items[dataIndex]),
        },
        xAxis: {
          type: "value",
          min: (data.window_from - data.first) / unit.divisor,
          max: (data.window_to - data.first) / unit.divisor,
          ...labelled(`${this.axisName()} (${unit.name})`, colours),
          splitLine: { lineStyle: { color: colours.line } },
        },
        yAxis: {
          ...(data.processors
            ? { type: "value", min: 0, max: data.processors, name: "processors", nameLocation: "middle" }
            : { type: "category", data: data.lanes, inverse: true }),
          nameGap: this.left - 18,
          nameTextStyle: { color: colours.muted },
          axisLabel: { color: colours.muted, fontSize: 11, width: this.left - 12, overflow: "truncate" },
          axisLine: { lineStyle: { color: colours["line-strong"] } },
          axisTick: { show: false },
          splitLine: { show: false },
        },
        series: [
          {
            type: "custom",
            name: "areas",
            clip: true,
            z: 1,
            encode: { x: [0, 1], y: 2 },
            data: data.areas.map(([lane, from, to]) => [hours(from), hours(to), lane]),
            renderItem: (params, api) => {
              const box = spanOf(params, api);
              if (!box) return null;
              const lane = api.size([0, 1])[1];
              const shape = { x: box.left, y: box.middle - lane / 2, width: box.width, height: lane };
              const plain = { type: "rect", shape, style: { fill: colours["line-strong"], opacity: 0.35 } };
              if (data.areas[params.dataIndex][3] === "outage") return plain;
              return {
                type: "group",
                children: [plain, { type: "rect", shape, style: { fill: hatch }, silent: true }],
              };
            },
          },
          {
            type: "custom",
            name: shades ? "shades" : "tasks",
            clip: true,
            z: 2,
            cursor: shades ? "default" : "pointer",
            encode: { x: [0, 1], y: 2 },
            data: data.items.map((item) => [
              hours(item[column]),
              hours(item[column + 1]),
              data.processors ? item[1] : item[0],
            ]),
            renderItem: (params, api) => {
              const item = data.items[params.dataIndex];
              const box = spanOf(params, api);
              if (!box) return null;
              if (shades) {
                const lane = api.size([0, 1])[1] * 0.9;
                // How much of a lane is in use, its height tells better than a shade.
                const height = data.unit === "use" ? lane * Math.min(1, item[3]) : lane;
                const shape = { x: box.left, y: box.middle + lane / 2 - height, width: box.width, height };
                const opacity = data.unit === "use" ? 0.8 : 0.12 + 0.88 * (item[3] / most);
                return { type: "rect", shape, style: { fill: colours["better-fill"], opacity } };
              }
              const { top, height } = heightOf(data, item, box.middle, api);
              const gap = height > 4 ? 1 : 0;
              const shape = { x: box.left, y: top, width: Math.max(1, box.width - gap), height: height - gap };
              /** @type {object[]} */
              const children = [{ type: "rect", shape, style: kinds.style(item[11]) }];
              if (item[10]) children.push({ type: "rect", shape, style: { fill: hatch }, silent: true });
              const label = String(item[5]);
              if (height >= 12 && box.width > LETTER * (label.length + 1)) {
                children.push(labelOf(label, shape, colours));
              }
              return { type: "group", children };
            },
          },
        ],
      },
      { notMerge: true },
    );
    this.area.dataset.span = String(span);
    const { strips, window_from: from, window_to: to, first: zero } = data;
    this.strips.draw({ strips, from, to, zero, left: this.left, right: RIGHT });
  }

  // What the colours mean, in words beside the drawing.
  legend(kinds) {
    const list = this.figure.querySelector("[data-gantt-legend]");
    list.hidden = !this.data.colours.length;
    list.replaceChildren();
    this.data.colours.forEach((name, number) => {
      const entry = document.createElement("li");
      const mark = document.createElement("span");
      const { fill, opacity } = kinds.style(number);
      mark.style.background = fill;
      mark.style.opacity = String(opacity);
      entry.append(mark, name);
      list.append(entry);
    });
  }
}

// From where to where a span reaches on the screen; null where it lies outside.
function spanOf(params, api) {
  const [left, middle] = api.coord([api.value(0), api.value(2)]);
  const [right] = api.coord([api.value(1), api.value(2)]);
  const box = params.coordSys;
  const from = Math.max(left, box.x);
  const to = Math.min(Math.max(right, left + 1), box.x + box.width);
  return to < from ? null : { left: from, middle, width: Math.max(1, to - from) };
}

// Of a lane its part; on a pool as many processors as the task has.
function heightOf(data, item, middle, api) {
  if (data.processors) {
    const height = api.size([0, item[2] - item[1]])[1];
    return { top: middle - height, height: Math.max(1, height) };
  }
  const lane = api.size([0, 1])[1] * FILLED;
  return { top: middle - lane / 2 + item[1] * lane, height: Math.max(1, lane * (item[2] - item[1])) };
}

function labelOf(text, shape, colours) {
  const style = {
    text,
    x: shape.x + shape.width / 2,
    y: shape.y + shape.height / 2,
    align: "center",
    verticalAlign: "middle",
    fontSize: 11,
    fill: colours.ink,
    stroke: colours.surface,
    lineWidth: 3,
  };
  return { type: "text", style, silent: true };
}

// How each class of tasks is filled: shades of one colour where the classes are in order.
function classColours(data, colours) {
  const count = data.colours.length;
  const style = (number) =>
    data.colours_rise
      ? { fill: colours["worse-fill"], opacity: 0.15 + (0.85 * number) / (count - 1) }
      : { fill: colours.policies[number], opacity: 0.85 };
  return { style };
}

function describeArea(data, [lane, from, to, , what]) {
  return `${data.lanes[lane]}\n${what}\n${readable(from - data.first, "s")} to ${readable(to - data.first, "s")}`;
}

// Slanting lines in the colour of the page, as a tile that repeats.
function hatching(colour) {
  const size = 8;
  const tile = document.createElement("canvas");
  tile.width = size;
  tile.height = size;
  const pen = /** @type {CanvasRenderingContext2D} */ (tile.getContext("2d"));
  pen.strokeStyle = colour;
  pen.lineWidth = 2.5;
  for (const shift of [-size, 0, size]) {
    pen.moveTo(shift, size);
    pen.lineTo(shift + size, 0);
  }
  pen.stroke();
  return tile;
}

function describe(data, item) {
  const lane = data.lanes[item[0]] ?? "";
  if (data.level === "shades") {
    const of = { share: " of the cores", use: " in use", tasks: " tasks at a time" };
    const amount = readable(item[3], data.unit === "tasks" ? "" : "share") + of[data.unit];
    return `${lane}\n${amount}\n${readable(item[1] - data.first, "s")} to ${readable(item[2] - data.first, "s")}`;
  }
  const held = [item[6] ? `${item[6]} cores` : "", item[7] ? `${item[7]} GPUs` : ""].filter(Boolean).join(", ");
  return (
    `Task ${item[5]}${stopped(item)}${lane ? `, ${lane}` : ""}\n${held}${item[8] > 0 && item[8] < 1 ? `, ${readable(item[8], "share")} on the GPU` : ""}\n` +
    `from ${readable(item[3] - data.first, "s")} for ${readable(item[4] - item[3], "s")}` +
    (data.colours.length ? `\n${data.colours_by}: ${data.colours[item[11]]}` : "")
  );
}

function stopped(item) {
  return `${item[9] > 1 || item[10] ? `, attempt ${item[9]}` : ""}${item[10] ? ", its work was lost" : ""}`;
}

function shadeRow(data, [lane, from, to, amount]) {
  const text = data.unit === "tasks" ? `${readable(amount, "")} tasks` : readable(amount, "share");
  return [data.lanes[lane], readable(from - data.first, "s"), readable(to - data.first, "s"), text];
}

function taskRow(data, item) {
  const where = data.processors
    ? `processors ${readable(item[1], "")} to ${readable(item[2], "")}`
    : data.lanes[item[0]];
  const times = [readable(item[3] - data.first, "s"), readable(item[4] - data.first, "s")];
  return [item[5], where, ...times, item[6], item[7], item[9], item[10] ? "lost" : "kept"];
}
