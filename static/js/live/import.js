// How far the reading of an upload is.
export function followImport(part) {
  const words = part.querySelector("[data-import-words]");
  const ask = async () => {
    try {
      const response = await fetch(part.dataset.import, { headers: { Accept: "application/json" } });
      if (response.ok) {
        const job = await response.json();
        if (job.status === "finished" || job.status === "failed") {
          location.reload();
          return;
        }
        if (words && job.place) words.textContent = `Waiting for a free process, number ${job.place} in the queue`;
        else if (words && job.progress) words.textContent = job.progress;
      }
    } catch {
      if (words) words.textContent = "The server does not answer; trying again";
    }
    setTimeout(ask, 1000);
  };
  setTimeout(ask, 500);
}
