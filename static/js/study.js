// While a study is played: its progress and what came out so far, asked for again; at its end the whole page.
const EVERY = 3000;
const PARTS = ["study-progress", "outcome"];

async function refresh() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!answer.ok) return;
  const newer = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (!newer.querySelector("[data-study-progress]")) {
    location.reload();
    return;
  }
  for (const id of PARTS) {
    const [old, now] = [document.getElementById(id), newer.getElementById(id)];
    if (old && now && !old.contains(document.activeElement)) old.replaceWith(document.adoptNode(now));
  }
}

setInterval(() => {
  // A server that is away for a moment is asked again.
  if (!document.hidden) refresh().catch(() => {});
}, EVERY);
