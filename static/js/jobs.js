// Keeps the progress of jobs up to date while the page is open. Without scripts one loads the page again.

const EVERY_MS = 2000;
const numbers = new Intl.NumberFormat("en-GB");

for (const hint of document.querySelectorAll("[data-needs-reload]")) {
  hint.hidden = true;
}
for (const place of document.querySelectorAll("[data-progress]")) {
  window.setTimeout(() => look(place), EVERY_MS);
}

async function look(place) {
  const job = await read(place.dataset.progress);
  if (job?.is_over) {
    window.location.reload(); // what was set aside is named now, and other buttons are offered
    return;
  }
  if (job) {
    show(place, job);
  }
  window.setTimeout(() => look(place), EVERY_MS);
}

// A server that does not answer for a moment is asked again; one that sends elsewhere wants people to sign in.
async function read(address) {
  try {
    const answer = await fetch(address, { headers: { Accept: "application/json" }, redirect: "error" });
    return answer.ok ? await answer.json() : null;
  } catch {
    return null;
  }
}

function show(place, job) {
  const aside = job.failed > 0 ? `, ${numbers.format(job.failed)} set aside` : "";
  place.querySelector("[data-state]").textContent = job.state;
  place.querySelector("[data-counts]").textContent =
    `${numbers.format(job.done)} of ${numbers.format(job.total)} done${aside}`;
  place.querySelector("[data-note]").textContent = job.note;
  const bar = place.querySelector("progress");
  bar.max = Math.max(job.total, 1);
  bar.value = job.done + job.failed;
}
