// Elements that the templates are known to write.

/**
 * The first element for a selector, of the type given; the error names what a template has lost.
 * @template {HTMLElement} T
 * @param {new () => T} type
 * @param {string} selector
 * @param {ParentNode} [within]
 * @returns {T}
 */
export function find(type, selector, within = document) {
  const element = within.querySelector(selector);
  if (!(element instanceof type)) throw new Error(`The page holds no ${type.name} at ${selector}.`);
  return element;
}

/**
 * All elements for a selector that are of the type given.
 * @template {HTMLElement} T
 * @param {new () => T} type
 * @param {string} selector
 * @param {ParentNode} [within]
 * @returns {T[]}
 */
export function all(type, selector, within = document) {
  return /** @type {T[]} */ ([...within.querySelectorAll(selector)].filter((element) => element instanceof type));
}
