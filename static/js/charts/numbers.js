// Numbers as people read them; the same units as the server's tables.
/** @typedef {[name: string, size: number]} Unit */

/** @type {Unit[]} */
const DURATIONS = [
  ["s", 1],
  ["min", 60],
  ["h", 3600],
  ["d", 86400],
];
/** @type {Unit[]} */
const JOULES = [
  ["J", 1],
  ["kJ", 1e3],
  ["kWh", 3.6e6],
  ["MWh", 3.6e9],
];
/** @type {Unit[]} */
const MASSES = [
  ["g", 0.001],
  ["kg", 1],
  ["t", 1000],
];
const LOG_SECONDS = [0.001, 0.01, 0.1, 1, 10, 60, 600, 3600, 18000, 86400, 864000, 8640000, 86400000];

const grouped = new Intl.NumberFormat("en-GB", { maximumSignificantDigits: 3 });
const whole = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 0 });

/**
 * A count with its thousands told apart, as the server writes it.
 * @param {number} value
 */
export function counted(value) {
  return whole.format(value);
}

// What a linear axis of `unit` that reaches `largest` is divided by, and what that unit is called.
/**
 * @param {string} unit
 * @param {number} largest
 */
export function axisUnit(unit, largest) {
  if (unit === "share") return { name: "%", divisor: 0.01 };
  const units = { s: DURATIONS, J: JOULES, kg: MASSES }[unit];
  if (!units) return { name: unit === "usd" ? "$" : unit, divisor: 1 };
  const [name, divisor] = units.findLast(([, size]) => largest >= 2 * size) ?? units[0];
  return { name, divisor };
}

// A number in its own best unit.
/**
 * @param {number | null | undefined} value
 * @param {string} unit
 */
export function readable(value, unit) {
  if (value === null || value === undefined || Number.isNaN(value)) return "no data";
  const { name, divisor } = axisUnit(unit, Math.abs(value));
  const number = value / divisor;
  const text = Math.abs(number) >= 1000 ? whole.format(number) : grouped.format(number);
  if (name === "$") return `$${text}`;
  return name === "%" || name === "" ? `${text}${name}` : `${text} ${name}`;
}

/**
 * Mark a written number as an approximation; `about` in scheduler_sim/display/formatting.py does the same.
 * @param {string} text
 */
export function about(text) {
  return text === "no data" ? text : `≈ ${text}`;
}

/**
 * Progress in whole percent, rounded down: 100 is said of what is finished and of nothing else. The server rounds alike.
 * @param {number} share
 */
export function percentDone(share) {
  // A share such as 0.29 lies a little below itself as a binary number.
  return share >= 1 ? 100 : Math.max(0, Math.min(99, Math.floor(share * 100 + 1e-6)));
}

// A duration without decimals, as one says how long something will take.
/** @param {number} seconds */
export function roughly(seconds) {
  const [name, divisor] = DURATIONS.findLast(([, size]) => seconds >= 1.5 * size) ?? DURATIONS[0];
  return `${whole.format(seconds / divisor)} ${name}`;
}

// A tick of a logarithmic axis: 1 h rather than 60 min.
export function tickLabel(value, unit) {
  if (unit !== "s") return readable(value, unit);
  const [name, divisor] = DURATIONS.findLast(([, size]) => value >= size * 0.999) ?? DURATIONS[0];
  return `${grouped.format(value / divisor)} ${name}`;
}

// Ticks of a logarithmic axis: at times that people know (10 s, 1 min, 10 min, 1 h ...), of plain numbers the powers of ten.
export function logTicks(unit, least, largest) {
  if (unit !== "s") {
    const tens = Array.from({ length: 31 }, (_, power) => 10 ** (power - 15)).filter(
      (tick) => tick >= least && tick <= largest,
    );
    return tens.length > 1 ? tens : undefined;
  }
  return LOG_SECONDS.filter((tick) => tick >= least && tick <= largest);
}

// The tick on or below a value of a logarithmic axis.
export function logFloor(unit, least) {
  if (!(least > 0) || !Number.isFinite(least)) return least;
  if (unit !== "s") return 10 ** Math.floor(Math.log10(least) + 1e-9);
  return LOG_SECONDS.findLast((tick) => tick <= least) ?? least;
}

const FAR = 8; // So many times the middle bar, and a bar is broken.

// Where bars end that would leave the others too short to be told apart; null where none is so long.
export function breakOf(values) {
  const known = values.filter((value) => value !== null && value > 0).sort((one, other) => one - other);
  const most = FAR * known[(known.length - 1) >> 1];
  if (known.length < 3 || known.at(-1) <= most) return null;
  return 1.3 * known.findLast((value) => value <= most);
}
