// Writes what the server says of an instant into the tables that it has written before.
import { find } from "../dom.js";

/**
 * @param {HTMLElement} section of one policy
 * @param {any} panel
 * @param {number | null} followed
 */
export function writePanel(section, panel, followed) {
  const facts = find(HTMLElement, "[data-facts]", section);
  fit(facts, panel.facts.length, () => parts("div", "dt", "dd"));
  panel.facts.forEach((fact, at) => {
    fact.forEach((text, place) => {
      say(facts.children[at].children[place], text);
    });
  });
  const sentences = find(HTMLElement, "[data-sentences]", section);
  fit(sentences, panel.sentences.length, () => classed("p", "small muted"));
  panel.sentences.forEach((text, at) => {
    say(sentences.children[at], text);
  });
  for (const name of ["queue", "running"]) writeList(section, name, panel[name], followed);
  writeFree(section, panel);
}

function writeList(section, name, list, followed) {
  const table = find(HTMLTableElement, `[data-list="${name}"] table`, section);
  const head = table.tHead?.rows[0];
  if (!head) return;
  fit(head, list.heads.length + 2, () => document.createElement("th"));
  list.heads.forEach((text, at) => {
    const cell = /** @type {HTMLTableCellElement} */ (head.children[at + 1]);
    cell.scope = "col";
    cell.className = text.startsWith("#") ? "number" : "";
    say(cell, text.replace("#", ""));
  });
  say(head.children[list.heads.length + 1], "");
  const body = table.tBodies[0];
  fit(body, list.rows.length, () => {
    const row = document.createElement("tr");
    const number = document.createElement("th");
    number.scope = "row";
    number.append(document.createElement("a"));
    row.append(number);
    return row;
  });
  list.rows.forEach((row, at) => {
    const line = body.rows[at];
    line.className = row.task === followed ? "is-first" : "";
    fit(line, row.cells.length + 2, () => document.createElement("td"));
    link(line.children[0], row.href, String(row.task), "");
    row.cells.forEach(([text, isNumber], place) => {
      const cell = line.children[place + 1];
      cell.className = isNumber ? "number" : "";
      say(cell, text);
    });
    link(line.children[row.cells.length + 1], row.follow, "Follow", `Follow task ${row.task}`);
  });
  const more = find(HTMLElement, `[data-more="${name}"]`, section);
  const shown = list.rows.length;
  say(more, list.count === 0 ? (more.dataset.none ?? "") : shown < list.count ? `${shown} of ${list.count}.` : "");
}

function writeFree(section, panel) {
  const part = find(HTMLDetailsElement, "[data-free]", section);
  part.hidden = !panel.free.length;
  const body = find(HTMLTableElement, "table", part).tBodies[0];
  fit(body, panel.free.length, () => {
    const row = parts("tr", "th", "td", "td");
    /** @type {HTMLTableCellElement} */ (row.children[0]).scope = "row";
    row.children[1].className = "number";
    row.children[2].className = "number";
    return row;
  });
  panel.free.forEach((node, at) => {
    node.forEach((text, place) => {
      say(body.rows[at].cells[place], text);
    });
  });
  const cut = panel.free_count > panel.free.length;
  say(
    find(HTMLElement, "[data-free-more]", part),
    cut ? `The first ${panel.free.length} of ${panel.free_count} nodes.` : "",
  );
}

// Leaves as many children as there is something for; what is there stays, and with it the focus.
function fit(parent, count, make) {
  while (parent.children.length > count) parent.lastElementChild.remove();
  while (parent.children.length < count) parent.append(make());
}

function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function link(cell, href, text, label) {
  let anchor = cell.querySelector("a");
  if (!anchor) {
    anchor = document.createElement("a");
    cell.replaceChildren(anchor);
  }
  anchor.href = href;
  if (label) anchor.ariaLabel = label;
  say(anchor, text);
}

function classed(name, words) {
  const element = document.createElement(name);
  element.className = words;
  return element;
}

function parts(name, ...inner) {
  const element = document.createElement(name);
  element.append(...inner.map((one) => document.createElement(one)));
  return element;
}
