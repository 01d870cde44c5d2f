// Colours and dashes of the page's theme. One per policy, everywhere; the colours themselves stand in tokens.css.
export const DASHES = ["solid", [7, 4], [2, 3], [10, 3, 2, 3], [14, 4], [4, 2, 1, 2], [1, 4], [12, 3, 2, 3, 2, 3]];

const NAMES = ["ink", "muted", "line", "line-strong", "surface", "sunken", "better-fill", "worse-fill"];

/** @type {Record<string, any> | null} */
let known = null;

// The colours of the theme in force.
/** @returns {Record<string, any>} */
export function palette() {
  known ??= read();
  return known;
}

export function forgetPalette() {
  known = null;
}

function read() {
  const probe = document.createElement("span");
  probe.hidden = true;
  document.body.append(probe);
  // Only a property that is used resolves light-dark(); reading the custom property would not.
  const colour = (name) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  /** @type {Record<string, any>} */
  const colours = Object.fromEntries(NAMES.map((name) => [name, colour(name)]));
  colours.policies = Array.from({ length: 12 }, (_, number) => colour(`policy-${number}`));
  probe.remove();
  return colours;
}
