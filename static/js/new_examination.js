// Makes the photographs' form comfortable: several at once, drag and drop, the camera, previews, early warnings, progress
// and no double sending. Each photograph goes to the form's own address alone; the server decides everything.

const BYTES_A_MEGABYTE = 1_000_000;
const TYPES = ["image/jpeg", "image/png"];
const CREATED = 201;
const MOST_TURNS = 8;
const SHORT_WAIT_S = 5;

const form = document.querySelector("form.examination");
if (form) {
  prepare();
}

function prepare() {
  const page = {
    input: form.querySelector("input[type=file]"),
    list: form.querySelector("[data-shots]"),
    button: form.querySelector("[type=submit]"),
    status: form.querySelector("[data-sending]"),
    shots: [],
    isSending: false,
  };
  form.querySelectorAll("[data-needs-script]").forEach((element) => {
    element.hidden = false;
  });
  // Each photograph has these of its own.
  form.querySelectorAll("[data-each], [data-reason]").forEach((element) => {
    element.hidden = true;
  });
  page.input.multiple = true;
  page.input.addEventListener("change", () => takeChosen(page));
  acceptDrops(form.querySelector("[data-drop-zone]"), page);
  offerCamera(form.querySelector("[data-camera]"), page.input);
  form.addEventListener("submit", (event) => {
    if (page.shots.length > 0) {
      event.preventDefault();
      sendAll(
        page,
        page.shots.filter((shot) => shot.answer === null),
      );
    }
  });
  window.addEventListener("beforeunload", (event) => {
    if (page.isSending) {
      event.preventDefault();
    }
  });
  takeChosen(page); // browsers keep the choice over a reload
}

function takeChosen(page) {
  [...page.input.files].forEach((file) => addShot(page, file));
  page.input.value = "";
}

function addShot(page, file) {
  if (page.isSending) {
    return;
  }
  const element = document.querySelector("[data-shot]").content.firstElementChild.cloneNode(true);
  const shot = { file, element, answer: null };
  const find = (selector) => element.querySelector(selector);
  const preview = find("img");
  preview.alt = `Preview of ${file.name}`;
  preview.onload = () => URL.revokeObjectURL(preview.src);
  preview.onerror = () => {
    preview.alt = "No preview possible";
  };
  preview.src = URL.createObjectURL(file);
  find(".shot__name").textContent = `${file.name}, ${describeSize(file.size)}`;
  find("[name=image_type]").value = form.querySelector("[data-each] [name=image_type]").value;
  find("[name=clin_size_long_diam_mm]").value = form.querySelector("[data-each] [name=clin_size_long_diam_mm]").value;
  find("progress").setAttribute("aria-label", `Sending ${file.name}`);
  find("[data-doubt]").textContent = doubt(file, Number(form.dataset.maxUploadMb));
  find("[data-remove]").setAttribute("aria-label", `Remove ${file.name}`);
  find("[data-remove]").addEventListener("click", () => {
    removeShot(page, shot);
    goOnWhenDone(page);
  });
  find("[data-another]").addEventListener("click", () => {
    removeShot(page, shot);
    page.input.click();
  });
  find("[data-all-the-same]").addEventListener("click", () => {
    if (find("[name=quality_override_reason]").value.trim() === "") {
      find("[name=quality_override_reason]").focus();
      return;
    }
    sendAll(page, [shot]);
  });
  page.shots.push(shot);
  page.list.append(element);
  page.list.hidden = false;
}

function removeShot(page, shot) {
  if (page.isSending) {
    return;
  }
  page.shots = page.shots.filter((other) => other !== shot);
  shot.element.remove();
  page.list.hidden = page.shots.length === 0;
  page.input.focus();
}

// Only a hint: the server looks into the file and decides.
function doubt(file, maximumMb) {
  if (file.size === 0) {
    return "This file is empty. Choose another one.";
  }
  if (file.size > maximumMb * BYTES_A_MEGABYTE) {
    return `This file has ${describeSize(file.size)}; at most ${maximumMb} MB are taken. Send a smaller copy.`;
  }
  if (!TYPES.includes(file.type)) {
    return "This does not look like a JPEG or PNG. Save the photograph as JPEG and choose that.";
  }
  return "";
}

function describeSize(bytes) {
  return bytes < BYTES_A_MEGABYTE
    ? `${Math.max(1, Math.round(bytes / 1000))} kB`
    : `${(bytes / BYTES_A_MEGABYTE).toFixed(1)} MB`;
}

function acceptDrops(zone, page) {
  const over = (isOver) => zone.classList.toggle("drop-zone--over", isOver);
  // A photograph dropped beside the zone must not replace the page.
  for (const type of ["dragover", "drop"]) {
    window.addEventListener(type, (event) => event.preventDefault());
  }
  zone.addEventListener("dragover", () => over(true));
  zone.addEventListener("dragleave", () => over(false));
  zone.addEventListener("drop", (event) => {
    over(false);
    [...event.dataTransfer.files].forEach((file) => addShot(page, file));
  });
}

// The same input, told for once to open the camera: it gives one photograph, and can be asked again.
function offerCamera(offer, input) {
  if (!window.matchMedia("(pointer: coarse)").matches) {
    return;
  }
  offer.hidden = false;
  offer.querySelector("button").addEventListener("click", () => {
    input.setAttribute("capture", "environment");
    input.click();
    input.removeAttribute("capture");
  });
}

// One after the other: a slow connection brings the first result soonest, and the clinic's cores are shared.
async function sendAll(page, shots) {
  if (page.isSending) {
    return;
  }
  setSending(page, true);
  for (const shot of shots) {
    page.status.textContent = `Sending ${shot.file.name} …`;
    await send(shot);
  }
  setSending(page, false);
  goOnWhenDone(page);
}

function setSending(page, isSending) {
  page.isSending = isSending;
  page.input.disabled = isSending;
  page.button.setAttribute("aria-disabled", String(isSending));
  page.list.querySelectorAll("button, select, input").forEach((control) => {
    control.disabled = isSending || Boolean(control.closest(".shot--stored"));
  });
}

async function send(shot) {
  const find = (selector) => shot.element.querySelector(selector);
  const progress = find("progress");
  find("[data-progress]").hidden = false;
  find("[data-override]").hidden = true;
  shot.element.classList.remove("shot--refused");
  find("[data-state]").replaceChildren();
  const { status, answer } = await postUntilThereIsRoom(valuesOf(shot), (share) => {
    // Sent whole, the bar has no end until the model has answered.
    if (share < 1) {
      progress.value = share;
    } else {
      progress.removeAttribute("value");
    }
  });
  find("[data-progress]").hidden = true;
  if (status === CREATED && answer) {
    showStored(shot, answer);
  } else {
    showRefusal(shot, answer ?? { message: explain(status), findings: [] });
  }
}

function valuesOf(shot) {
  const values = new FormData(form);
  values.set("image", shot.file);
  for (const name of ["image_type", "clin_size_long_diam_mm", "quality_override_reason"]) {
    values.set(name, shot.element.querySelector(`[name=${name}]`).value);
  }
  return values;
}

// The server takes a few photographs at a time, and says for how few seconds to wait; a longer wait is a failure.
async function postUntilThereIsRoom(values, onProgress) {
  let outcome = await post(values, onProgress);
  for (let turn = 0; turn < MOST_TURNS && outcome.retryAfterS > 0 && outcome.retryAfterS <= SHORT_WAIT_S; turn += 1) {
    const waitMs = outcome.retryAfterS * 1000 * (1 + Math.random()); // not all at the same time again
    await new Promise((resolve) => {
      window.setTimeout(resolve, waitMs);
    });
    outcome = await post(values, onProgress);
  }
  return outcome;
}

// XMLHttpRequest, for fetch does not tell how much has been sent.
function post(values, onProgress) {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest();
    request.open("POST", form.action);
    request.setRequestHeader("Accept", "application/json");
    request.upload.addEventListener("progress", (event) => {
      onProgress(event.lengthComputable ? event.loaded / event.total : 1);
    });
    request.addEventListener("loadend", () => {
      const isJson = (request.getResponseHeader("Content-Type") ?? "").startsWith("application/json");
      resolve({
        status: request.status,
        answer: isJson ? JSON.parse(request.responseText) : null,
        retryAfterS: Number(request.getResponseHeader("Retry-After") ?? 0),
      });
    });
    request.send(values);
  });
}

// What the server does not say in JSON: no connection, a session that has ended, a proxy's refusal.
const SIGNED_OUT = "You have been signed out. Sign in again in another tab, reload this page, then choose the photograph again.";

function explain(status) {
  const words = {
    0: "The connection broke. Look on the lesion's page whether the photograph is there, then send it again.",
    200: SIGNED_OUT, // the sign-in page, to which a stranger is sent
    401: SIGNED_OUT,
    400: "The page was open for too long. Reload it, then choose the photograph again.",
    413: `The file is too large: at most ${form.dataset.maxUploadMb} MB are taken. Send a smaller copy.`,
  };
  return words[status] ?? "The photograph was not taken in. Try again; if it lasts, tell your engineer.";
}

function showStored(shot, answer) {
  shot.answer = answer;
  shot.element.classList.add("shot--stored");
  shot.element.querySelector("[data-remove]").hidden = true;
  const link = document.createElement("a");
  link.href = answer.address;
  link.textContent = "Open it";
  const words = document.createElement("p");
  words.append("Stored. ", link);
  shot.element.querySelector("[data-state]").replaceChildren(words);
}

function showRefusal(shot, answer) {
  shot.element.classList.add("shot--refused");
  const words = document.createElement("p");
  const state = shot.element.querySelector("[data-state]");
  if (answer.findings.length === 0) {
    words.textContent = answer.message;
    state.replaceChildren(words);
    return;
  }
  words.textContent = "Not good enough, so it was not stored:";
  const list = document.createElement("ul");
  list.append(
    ...answer.findings.map((finding) => {
      const item = document.createElement("li");
      item.textContent = `${finding.reason} ${finding.hint}`;
      return item;
    }),
  );
  state.replaceChildren(words, list);
  shot.element.querySelector("[data-override]").hidden = false;
}

function goOnWhenDone(page) {
  const stored = page.shots.map((shot) => shot.answer).filter(Boolean);
  const waiting = page.shots.length - stored.length;
  if (stored.length === 0 || waiting > 0) {
    page.status.textContent = waiting > 0 && !page.isSending ? `${stored.length} stored, ${waiting} to go.` : "";
    return;
  }
  page.status.textContent = "All photographs are stored.";
  window.location.assign(nextAddress(stored));
}

// To the single result, to the lesion, or through the first reads of all of them.
function nextAddress(stored) {
  const [first, ...others] = stored;
  if (others.length === 0) {
    return first.address;
  }
  if (!form.querySelector("[name=own_impression]")?.checked) {
    return form.dataset.lesionAddress;
  }
  const address = new URL(first.address, window.location.href);
  others.forEach((answer) => address.searchParams.append("then", answer.image));
  return address.href;
}
