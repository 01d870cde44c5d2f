// Where and when tasks ran. The server sends what the visible window can show; zooming and panning ask again.
import { palette } from "./colours.js";
import { axisUnit, readable } from "./numbers.js";
import { inside, isWhole, stepped, zoomed } from "./window.js";

const WAIT = 150; // ms of rest before the server is asked
const RIGHT = 20; // px beside the drawing
const ROWS = 100; // of the table behind the chart; the CSV has all

export function setUpGantt(area, echarts, offerPictures) {
  const chart = new Gantt(area, echarts);
  offerPictures(area, () => chart.instance.getOption(), chart.instance, "Where and when tasks ran");
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

class Gantt {
  constructor(area, echarts) {
    this.area = area;
    this.figure = area.closest("figure");
    this.echarts = echarts;
    this.instance = echarts.init(area);
    this.policy = this.figure.querySelector("[data-gantt-policy]");
    const query = new URLSearchParams(location.search);
    if (query.has("gantt")) this.policy.value = query.get("gantt");
    const time = (name) => (query.has(name) ? Number(query.get(name)) : null);
    this.wanted = { from: time("from"), to: time("to") };
    this.request = 0;
    this.left = 0; // px before the drawing
    /** @type {any} */
    this.data = null;
    new ResizeObserver(() => {
      if (area.clientWidth === this.instance.getWidth()) return;
      this.instance.resize();
      if (this.data) this.draw();
    }).observe(area);
    this.policy.addEventListener("change", () => this.show(this.wanted.from, this.wanted.to));
    for (const button of this.figure.querySelectorAll("[data-go]")) {
      button.addEventListener("click", () => this.go(button.dataset.go));
    }
    area.addEventListener("keydown", (event) => this.key(event));
    area.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    this.figure.querySelector("[data-gantt-table]").addEventListener("toggle", () => this.fill());
    this.dragging();
    document.addEventListener("themechange", () => this.data && this.draw());
  }

  address(ending, from, to) {
    const query = new URLSearchParams({ policy: this.policy.value });
    if (from !== null) query.set("from", from);
    if (to !== null) query.set("to", to);
    return `${this.area.dataset.gantt.replace(/json$/, ending)}?${query}`;
  }

  async show(from, to) {
    this.wanted = { from, to };
    const request = ++this.request;
    try {
      const response = await fetch(this.address("json", from, to));
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
    const text = query.toString();
    history.replaceState(null, "", `${location.pathname}${text ? `?${text}` : ""}${location.hash}`);
    for (const link of this.figure.querySelectorAll("[data-gantt-download]")) {
      link.href = this.address(link.dataset.ganttDownload, whole ? null : from, whole ? null : to);
    }
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

  dragging() {
    /** @type {{ x: number, from: number, to: number } | null} */
    let began = null;
    this.area.addEventListener("pointerdown", (event) => {
      if (!this.data || event.pointerType === "touch") return;
      began = { x: event.clientX, from: this.data.window_from, to: this.data.window_to };
      this.area.focus({ preventScroll: true });
    });
    addEventListener("pointermove", (event) => {
      if (!began) return;
      const shift = ((event.clientX - began.x) / (this.area.clientWidth - this.left - RIGHT)) * (began.to - began.from);
      if (Math.abs(event.clientX - began.x) > 3) this.move(began.from - shift, began.to - shift);
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
    const letters = data.lanes.reduce((most, lane) => Math.max(most, lane.length), 0);
    this.left = Math.min(16 + 7 * letters, 148, this.area.clientWidth / 4);
    const shades = data.level === "shades";
    const most = shades ? data.items.reduce((highest, item) => Math.max(highest, item[3]), 0) : 0;
    const column = shades ? 1 : 3;
    const hatch = shades ? null : { image: hatching(colours.surface), repeat: "repeat" };
    this.instance.setOption(
      {
        animation: false,
        textStyle: { fontFamily: "system-ui, sans-serif" },
        grid: { left: this.left, right: RIGHT, top: 8, bottom: 44 },
        tooltip: {
          renderMode: "richText",
          confine: true,
          backgroundColor: colours.surface,
          borderColor: colours["line-strong"],
          textStyle: { color: colours.ink, fontSize: 12 },
          formatter: ({ dataIndex }) => describe(data, data.items[dataIndex]),
        },
        xAxis: {
          type: "value",
          min: (data.window_from - data.first) / unit.divisor,
          max: (data.window_to - data.first) / unit.divisor,
          name: `Time after the first start (${unit.name})`,
          nameLocation: "middle",
          nameGap: 26,
          nameTextStyle: { color: colours.muted },
          axisLabel: {
            color: colours.muted,
            showMinLabel: false,
            showMaxLabel: false,
            formatter: (value) => Number(value.toPrecision(6)),
          },
          splitLine: { lineStyle: { color: colours.line } },
        },
        yAxis: {
          type: "category",
          data: data.lanes,
          inverse: true,
          axisLabel: { color: colours.muted, fontSize: 11, width: this.left - 12, overflow: "truncate" },
          axisLine: { lineStyle: { color: colours["line-strong"] } },
          axisTick: { show: false },
          splitLine: { show: false },
        },
        series: [
          {
            type: "custom",
            clip: true,
            encode: { x: [0, 1], y: 2 },
            data: data.items.map((item) => [
              (item[column] - data.first) / unit.divisor,
              (item[column + 1] - data.first) / unit.divisor,
              item[0],
            ]),
            renderItem: (params, api) => {
              const item = data.items[params.dataIndex];
              const [left, middle] = api.coord([api.value(0), api.value(2)]);
              const [right] = api.coord([api.value(1), api.value(2)]);
              const lane = api.size([0, 1])[1];
              const height = shades ? lane * 0.9 : Math.max(1, (lane * 0.86) / item[2]);
              const top = shades ? middle - height / 2 : middle - (lane * 0.86) / 2 + item[1] * height;
              const box = params.coordSys;
              const from = Math.max(left, box.x);
              const to = Math.min(Math.max(right, left + 1), box.x + box.width);
              if (to < from) return null;
              const gap = !shades && height > 4 ? 1 : 0;
              const shape = { x: from, y: top, width: Math.max(1, to - from - gap), height: height - gap };
              const style = shades
                ? { fill: colours["better-fill"], opacity: 0.12 + 0.88 * (item[3] / most) }
                : { fill: colours.policies[item[5] % 12], opacity: 0.85 };
              const bar = { type: "rect", shape, style };
              if (shades || !item[10]) return bar;
              const hatched = { type: "rect", shape, style: { fill: hatch }, silent: true };
              return { type: "group", children: [bar, hatched] };
            },
          },
        ],
      },
      { notMerge: true },
    );
    this.area.dataset.span = String(span);
  }
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
  const lane = data.lanes[item[0]];
  if (data.level === "shades") {
    const amount =
      data.unit === "share" ? `${readable(item[3], "share")} of the cores` : `${readable(item[3], "")} tasks at a time`;
    return `${lane}\n${amount}\n${readable(item[1] - data.first, "s")} to ${readable(item[2] - data.first, "s")}`;
  }
  const held = [item[6] ? `${item[6]} cores` : "", item[7] ? `${item[7]} GPUs` : ""].filter(Boolean).join(", ");
  return (
    `Task ${item[5]}${stopped(item)}${lane ? `, ${lane}` : ""}\n${held}${item[8] > 0 && item[8] < 1 ? `, ${readable(item[8], "share")} on the GPU` : ""}\n` +
    `from ${readable(item[3] - data.first, "s")} for ${readable(item[4] - item[3], "s")}`
  );
}

function stopped(item) {
  return `${item[9] > 1 || item[10] ? `, attempt ${item[9]}` : ""}${item[10] ? ", its work was lost" : ""}`;
}

function shadeRow(data, [lane, from, to, amount]) {
  const text = data.unit === "share" ? readable(amount, "share") : `${readable(amount, "")} tasks`;
  return [data.lanes[lane], readable(from - data.first, "s"), readable(to - data.first, "s"), text];
}

function taskRow(data, item) {
  const where = data.lanes[item[0]] || `row ${item[0] + 1}`;
  const times = [readable(item[3] - data.first, "s"), readable(item[4] - data.first, "s")];
  return [item[5], where, ...times, item[6], item[7], item[9], item[10] ? "lost" : "kept"];
}
