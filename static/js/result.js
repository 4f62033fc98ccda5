// The result page: the heat map over the photograph, and the key to the next in the worklist.

document.querySelectorAll("[data-needs-script]").forEach((element) => {
  element.hidden = false;
});

const next = document.querySelector("[data-next]");
if (next && hasLetters()) {
  document.addEventListener("keydown", (event) => {
    if (event.key === "n" && !event.ctrlKey && !event.metaKey && !event.altKey && !isTyping(event.target)) {
      next.click();
    }
  });
}

const link = document.querySelector("[data-heat-map]");
if (link) {
  prepareHeatMap(link);
}

// The worklist has the switch for all letter keys.
function hasLetters() {
  try {
    return window.localStorage.getItem("worklist-letter-keys") !== "off";
  } catch {
    return true;
  }
}

function isTyping(target) {
  return target instanceof Element && target.closest("input, select, textarea, [contenteditable]") !== null;
}

// Without a script the link opens the picture by itself; with one it lies over the photograph.
function prepareHeatMap(link) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = link.className;
  button.textContent = link.textContent;
  button.addEventListener("click", () => load(button, link.href));
  link.replaceWith(button);
}

async function load(button, address) {
  if (button.getAttribute("aria-disabled") === "true") {
    return;
  }
  button.setAttribute("aria-disabled", "true");
  say("Drawing the heat map …");
  try {
    const response = await fetch(address);
    const isPicture = response.headers.get("Content-Type")?.startsWith("image/");
    if (!response.ok || !isPicture) {
      say(await reasonOf(response));
      return;
    }
    show(URL.createObjectURL(await response.blob()));
    button.hidden = true;
    say("The heat map lies over the photograph.");
    document.querySelector("[data-heat-toggle]").focus();
  } catch (error) {
    if (!(error instanceof TypeError)) {
      throw error;
    }
    say("The server does not answer, so there is no heat map. Check the connection, then try again.");
  } finally {
    button.removeAttribute("aria-disabled");
  }
}

// The refusal's own words stand on the page that came instead of the picture.
async function reasonOf(response) {
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  return page.querySelector("main p")?.textContent.trim() || "The heat map could not be drawn. Reload the page and try again.";
}

function show(source) {
  const map = document.createElement("img");
  map.className = "heat__map";
  map.src = source;
  map.alt = "The same photograph with the heat map laid over it";
  document.querySelector(".heat__stack").append(map);
  const controls = document.querySelector("[data-heat-controls]");
  controls.hidden = false;
  const toggle = controls.querySelector("[data-heat-toggle]");
  toggle.addEventListener("click", () => {
    map.hidden = !map.hidden;
    toggle.setAttribute("aria-pressed", String(!map.hidden));
  });
  const strength = controls.querySelector("[data-heat-opacity]");
  const apply = () => {
    map.style.opacity = Number(strength.value) / 100;
  };
  strength.addEventListener("input", apply);
  apply(); // browsers keep the slider's place over a reload
}

function say(words) {
  document.querySelector("[data-heat-status]").textContent = words;
}
