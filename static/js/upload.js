// Sends the photographs of a bulk upload one by one: shows how many have come, waits when the server is busy, can be stopped
// and gone on with. The server decides everything; without this script a plain form sends a few at a time.

const BYTES_A_MEGABYTE = 1_000_000;
const CREATED = 201;
const NAMES_A_QUESTION = 200; // the server takes forms of a thousand fields
const BUSY_TURNS = 40;
const BROKEN_TURNS = 4;
const BROKEN_WAIT_S = 5;
const LONGEST_WAIT_S = 60;
const SIGNED_OUT = "You have been signed out. Sign in again, then go on: what has come is kept.";
const BROKEN = "The connection broke. Choose Send to go on: what has come is kept.";

const form = document.querySelector("form[data-upload]");
if (form) {
  prepare();
}

function prepare() {
  const find = (selector) => form.querySelector(selector);
  const page = {
    addresses: { ...form.dataset },
    input: find("[data-photographs]"),
    button: find("[type=submit]"),
    stop: find("[data-stop]"),
    status: find("[data-status]"),
    bar: find("progress"),
    refused: find("[data-refused]"),
    onward: find("[data-onward]"),
    isSending: false,
    isStopped: false,
  };
  form.querySelectorAll("[data-needs-script]").forEach((element) => {
    element.hidden = false;
  });
  form.querySelectorAll("[data-without-script]").forEach((element) => {
    element.hidden = true;
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!page.isSending) {
      sendAll(page);
    }
  });
  page.stop.addEventListener("click", () => {
    page.isStopped = true;
    page.status.textContent = "Stopping …";
  });
  window.addEventListener("beforeunload", (event) => {
    if (page.isSending) {
      event.preventDefault();
    }
  });
}

async function sendAll(page) {
  form.querySelector("[data-sending]").hidden = false;
  page.refused.replaceChildren();
  page.refused.hidden = true;
  page.bar.hidden = true;
  setSending(page, true);
  const onward = await run(page);
  setSending(page, false);
  if (page.addresses.page) {
    page.onward.querySelector("a").href = page.addresses.page;
    page.onward.hidden = false;
  }
  if (onward) {
    window.location.assign(page.addresses.page);
  }
}

function setSending(page, isSending) {
  page.isSending = isSending;
  page.stop.hidden = !isSending;
  page.button.setAttribute("aria-disabled", String(isSending));
  page.input.disabled = isSending;
}

// Whether the job's page has more to say than this one.
async function run(page) {
  page.isStopped = false;
  const files = [...page.input.files];
  if (!page.addresses.send && !(await begin(page))) {
    return false;
  }
  if (files.length === 0) {
    return true;
  }
  const wanted = await askWhatIsWanted(page, files);
  if (wanted === null) {
    return false;
  }
  const passedOver = files.filter((file) => !wanted.has(file.name));
  passedOver.forEach((file) => refuse(page, file, "It has come already, or no row of the manifest names it."));
  return sendEach(
    page,
    files.filter((file) => wanted.has(file.name)),
  );
}

async function sendEach(page, files) {
  let isComplete = false;
  page.bar.hidden = false;
  page.bar.max = Math.max(files.length, 1);
  for (const [number, file] of files.entries()) {
    if (page.isStopped) {
      page.status.textContent = `Stopped after ${number} of ${files.length}. Choose Send to go on.`;
      return false;
    }
    page.bar.value = number;
    page.status.textContent = `Sending ${number + 1} of ${files.length} …`;
    const problem = doubt(file) || (await send(page, file));
    if (problem?.isLast) {
      page.status.textContent = problem.words;
      return false;
    }
    if (typeof problem === "string") {
      refuse(page, file, problem);
    }
    isComplete = problem === true;
  }
  page.bar.value = files.length;
  page.status.textContent = `${files.length} of ${files.length} dealt with.`;
  return isComplete || page.refused.hidden;
}

// The manifest comes first: the server says what is wrong with it, or where the photographs go.
async function begin(page) {
  page.status.textContent = "Checking the manifest …";
  const values = new FormData(form);
  const { status, answer } = await post(form.action, values, page);
  if (status === CREATED) {
    Object.assign(page.addresses, answer);
    form.querySelector("[type=file][name=manifest]").disabled = true;
    return true;
  }
  page.status.textContent = answer?.message ?? explain(status);
  (answer?.problems ?? []).forEach((words) => addRefusal(page, words));
  return false;
}

async function askWhatIsWanted(page, files) {
  const wanted = new Set();
  for (let from = 0; from < files.length; from += NAMES_A_QUESTION) {
    const values = new FormData();
    values.set("csrf_token", form.querySelector("[name=csrf_token]").value);
    files.slice(from, from + NAMES_A_QUESTION).forEach((file) => values.append("name", file.name));
    const { status, answer } = await post(page.addresses.wanted, values, page);
    if (!answer?.names) {
      page.status.textContent = answer?.message ?? explain(status);
      return null;
    }
    answer.names.forEach((name) => wanted.add(name));
  }
  return wanted;
}

// True when all have come, a text when this one was not taken, an object when it makes no sense to go on.
async function send(page, file) {
  const values = new FormData();
  values.set("csrf_token", form.querySelector("[name=csrf_token]").value);
  values.set("photographs", file);
  const { status, answer } = await post(page.addresses.send, values, page);
  if (status === 200 && answer) {
    return answer.has_begun;
  }
  if (answer && status < 500) {
    return answer.message;
  }
  return { isLast: true, words: answer?.message ?? explain(status) };
}

// The server takes a few photographs at a time, and says how long to wait.
async function post(address, values, page) {
  let outcome = await postOnce(address, values);
  let broken = 0;
  for (let turn = 0; turn < BUSY_TURNS && !page.isStopped; turn += 1) {
    const isBusy = outcome.status === 503 && outcome.retryAfterS > 0;
    broken += outcome.status === 0 ? 1 : 0;
    if (!isBusy && (outcome.status !== 0 || broken > BROKEN_TURNS)) {
      break;
    }
    page.status.textContent = "The server is busy, or the connection broke: waiting …";
    await wait(Math.min(outcome.retryAfterS || BROKEN_WAIT_S, LONGEST_WAIT_S));
    outcome = await postOnce(address, values);
  }
  return outcome;
}

async function postOnce(address, values) {
  try {
    const answer = await fetch(address, {
      method: "POST",
      body: values,
      headers: { Accept: "application/json" },
      redirect: "manual",
    });
    const isJson = (answer.headers.get("Content-Type") ?? "").startsWith("application/json");
    return {
      status: answer.type === "opaqueredirect" ? 401 : answer.status,
      answer: isJson ? await answer.json() : null,
      retryAfterS: Number(answer.headers.get("Retry-After") ?? 0),
    };
  } catch {
    return { status: 0, answer: null, retryAfterS: 0 };
  }
}

function wait(seconds) {
  const milliseconds = seconds * 1000 * (1 + Math.random() / 4); // not all at the same time again
  return new Promise((resolve) => {
    window.setTimeout(resolve, milliseconds);
  });
}

function explain(status) {
  const words = {
    0: BROKEN,
    400: "The page was open for too long. Load it again, then go on: what has come is kept.",
    401: SIGNED_OUT,
    403: "Your role does not allow this.",
    404: "There is no such upload any more.",
    413: "The file is too large.",
  };
  return words[status] ?? "The server cannot take it at present. Choose Send to go on; if it lasts, tell your engineer.";
}

// Only a hint: the server looks into the file and decides.
function doubt(file) {
  const mostMb = Number(form.dataset.maxUploadMb);
  if (file.size === 0) {
    return "It is empty.";
  }
  return file.size > mostMb * BYTES_A_MEGABYTE ? `It is larger than ${mostMb} MB. Send a smaller copy.` : "";
}

function refuse(page, file, words) {
  addRefusal(page, `${file.name}: ${words}`);
}

function addRefusal(page, words) {
  const item = document.createElement("li");
  item.textContent = words;
  page.refused.append(item);
  page.refused.hidden = false;
}
