import { fileName, saveBlob } from "../files.js";

// Numbers that only this page holds, as files: what was streamed to it so far.
export function offerNumbers(tools, title, rows) {
  const name = fileName(title, document.title);
  const button = (label, type, text) => {
    const element = document.createElement("button");
    element.type = "button";
    element.textContent = label;
    element.setAttribute("aria-label", `${label}: ${title}`);
    element.addEventListener("click", () =>
      saveBlob(new Blob([text(rows())], { type }), `${name}.${label.toLowerCase()}`),
    );
    tools.append(element);
  };
  button("CSV", "text/csv", csv);
  button("JSON", "application/json", (all) => JSON.stringify(all, null, 1));
}

/** @param {Record<string, unknown>[]} rows */
export function csv(rows) {
  if (!rows.length) return "";
  const names = Object.keys(rows[0]);
  return [names, ...rows.map((row) => names.map((name) => row[name] ?? ""))]
    .map((row) => row.map(quoted).join(","))
    .join("\r\n");
}

function quoted(value) {
  const text = String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
