// Files that a page makes by itself.

/**
 * What a file is called: the page, which names its run, and what the file shows.
 *
 * @param {string} title of the chart or table
 * @param {string} page as the browser calls it, with the site's name at its end
 */
export function fileName(title, page) {
  const words = `${page.split(" · ")[0]} ${title}`.toLowerCase();
  return words.replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "");
}

/**
 * @param {string} address of the contents
 * @param {string} name
 */
export function save(address, name) {
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
}

/**
 * @param {Blob} blob
 * @param {string} name
 */
export function saveBlob(blob, name) {
  const address = URL.createObjectURL(blob);
  save(address, name);
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}
