// Checks the patient form while it is filled in: errors of the fields already visited, and who looks like this one.

const DELAY_MS = 400;

const form = document.querySelector("form[data-check-url]");
const understood = form.querySelector("[data-understood]");
const duplicates = form.querySelector("[data-duplicates]");
const visited = new Set();
let timer;
let running;

// Fields the server has already found wrong are visited: their messages go as soon as they are right.
form.querySelectorAll(".field--wrong").forEach((field) => visited.add(field.dataset.field));

form.addEventListener("focusout", (event) => {
  const field = event.target.closest("[data-field]");
  // Passing through an empty field is no mistake yet; going on to another field of the same group is no leaving.
  if (field && event.target.value && !field.contains(event.relatedTarget)) {
    visit(field);
  }
});
form.addEventListener("change", (event) => visit(event.target.closest("[data-field]")));
form.addEventListener("input", scheduleCheck);

function visit(field) {
  if (field) {
    visited.add(field.dataset.field);
    scheduleCheck();
  }
}

function scheduleCheck() {
  window.clearTimeout(timer);
  timer = window.setTimeout(check, DELAY_MS);
}

async function check() {
  running?.abort();
  running = new AbortController();
  try {
    const response = await fetch(form.dataset.checkUrl, {
      method: "POST",
      body: new FormData(form),
      signal: running.signal,
    });
    // After the session has ended the answer is the sign-in page; sending the form will say so.
    if (response.ok && !response.redirected) {
      const answer = await response.json();
      showErrors(answer.errors);
      showBirth(answer.born);
      showDuplicates(answer.similar);
    }
  } catch (error) {
    // Without a connection the form still works: the server checks it when it is sent.
    if (error.name !== "AbortError" && !(error instanceof TypeError)) {
      throw error;
    }
  }
}

function showErrors(errors) {
  for (const name of visited) {
    const field = form.querySelector(`[data-field="${name}"]`);
    const messages = errors[name] ?? [];
    field.classList.toggle("field--wrong", messages.length > 0);
    field.querySelectorAll("[aria-invalid]").forEach((control) => {
      control.setAttribute("aria-invalid", String(messages.length > 0));
    });
    const place = field.querySelector(".field__error");
    place.textContent = messages.join(" ");
    place.hidden = messages.length === 0;
  }
}

// So that 4.5.1962 or an age is seen as it will be kept, before it is.
function showBirth(born) {
  const words = born ? `Born ${born}` : "";
  if (understood.textContent !== words) {
    understood.textContent = words;
  }
}

function showDuplicates(similar) {
  const others = similar.filter((patient) => patient.address !== form.dataset.ownAddress);
  const wanted = JSON.stringify(others);
  if (duplicates.dataset.shown === wanted) {
    return; // said already; a screen reader need not hear it again
  }
  duplicates.dataset.shown = wanted;
  duplicates.replaceChildren();
  if (others.length === 0) {
    return;
  }
  const title = document.createElement("p");
  const strong = document.createElement("strong");
  strong.textContent = "Already on record? Look before you go on.";
  title.append(strong);
  const list = document.createElement("ul");
  list.append(...others.map(describe));
  duplicates.append(title, list);
}

function describe(patient) {
  const item = document.createElement("li");
  const link = document.createElement("a");
  link.href = patient.address;
  link.textContent = patient.name;
  item.append(link, `, born ${patient.born}, MRN ${patient.mrn}`);
  return item;
}
