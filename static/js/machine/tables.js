// Writes what the server says of an instant into the tables that it has written before.
import { counted } from "../charts/numbers.js";
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

/**
 * Says what the task that is followed does under each policy, and marks its last decision by then.
 * @param {{ time: number, panels: { policy: string, followed: string }[] }} frame
 */
export function writeFollowed(frame) {
  const said = new Map(frame.panels.map((panel) => [panel.policy, panel.followed]));
  for (const part of document.querySelectorAll("[data-followed]")) {
    if (!(part instanceof HTMLElement)) continue;
    say(find(HTMLElement, "[data-stands]", part), said.get(part.dataset.followed ?? "") ?? "");
    const lines = [...part.querySelectorAll("[data-at]")];
    const last = lines.findLast((line) => Number(line.getAttribute("data-at")) <= frame.time);
    for (const line of lines) {
      if (line === last) line.setAttribute("aria-current", "step");
      else line.removeAttribute("aria-current");
    }
  }
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
  writePages(more, list);
}

// How much of a list is shown, and where the rest is.
function writePages(more, list) {
  const shown = list.rows.length;
  if (list.count === 0 || shown === list.count) {
    say(more, list.count === 0 ? (more.dataset.none ?? "") : "");
    return;
  }
  const pages = [
    [list.earlier, "Earlier ones"],
    [list.more, "Further ones"],
  ].filter(([href]) => href);
  // The server writes what stands between them into one text.
  const words = `${shown} of ${counted(list.count)}${list.first ? `, after ${counted(list.first)}` : ""}. `;
  if (more.childElementCount !== pages.length || more.firstChild?.nodeType !== Node.TEXT_NODE) {
    more.replaceChildren(words, ...pages.map(() => document.createElement("a")));
    for (const page of [...more.children]) page.before(" ");
  }
  more.firstChild.textContent = words;
  pages.forEach(([href, text], at) => {
    more.children[at].href = href;
    say(more.children[at], text);
  });
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
    cut ? `The first ${panel.free.length} of ${counted(panel.free_count)} nodes.` : "",
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
