// A page on which something goes on: asked for again until it is over, then loaded anew.

/**
 * @param {string} going What is on the page as long as it goes on.
 * @param {number} every Milliseconds.
 * @param {(newer: Document) => void} take Takes over what changed.
 */
export function askAgain(going, every, take) {
  async function look() {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (!answer.ok) return;
    const newer = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (newer.querySelector(going)) take(newer);
    else location.reload();
  }
  setInterval(() => {
    // A server that is away for a moment is asked again.
    if (!document.hidden) look().catch(() => {});
  }, every);
}
