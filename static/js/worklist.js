// Moves through the worklist by keyboard: j and k or the arrows from row to row, Enter opens, n goes to the first to sign.
// The letters can be switched off, for people whose voice or hands type letters they did not mean (WCAG 2.1.4).

const SETTING = "worklist-letter-keys";
const FIELDS = "input, select, textarea, [contenteditable]";

const rows = [...document.querySelectorAll("[data-row]")];
const next = document.querySelector("[data-next]");
const hints = document.querySelector("[data-keys]");
const letterSwitch = document.querySelector("[data-keys-switch]");

let hasLetters = recall() !== "off";

if (rows.length > 0) {
  hints.hidden = false;
  showSwitch();
  letterSwitch.addEventListener("click", () => {
    hasLetters = !hasLetters;
    remember(hasLetters ? "on" : "off");
    showSwitch();
  });
  document.addEventListener("keydown", follow);
}

function follow(event) {
  const isModified = event.ctrlKey || event.altKey || event.metaKey || event.shiftKey;
  if (isModified || event.defaultPrevented || event.target.closest(FIELDS)) {
    return;
  }
  const isOnRow = rows.includes(document.activeElement);
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    // Away from the rows the arrows scroll, as everywhere.
    if (isOnRow) {
      move(event, event.key === "ArrowDown" ? 1 : -1);
    }
  } else if (hasLetters && (event.key === "j" || event.key === "k")) {
    move(event, event.key === "j" ? 1 : -1);
  } else if (hasLetters && event.key === "n" && next) {
    event.preventDefault();
    next.click();
  }
}

function move(event, step) {
  event.preventDefault();
  const at = rows.indexOf(document.activeElement);
  const target = at === -1 ? 0 : Math.min(Math.max(at + step, 0), rows.length - 1);
  rows[target].focus();
}

function showSwitch() {
  letterSwitch.setAttribute("aria-pressed", String(hasLetters));
}

// A browser may refuse to keep settings; the keys work all the same.
function recall() {
  try {
    return window.localStorage.getItem(SETTING);
  } catch {
    return null;
  }
}

function remember(value) {
  try {
    window.localStorage.setItem(SETTING, value);
  } catch {
    // It is only forgotten.
  }
}
