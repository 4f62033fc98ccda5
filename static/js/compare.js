// Two photographs under one lens: they zoom and move together, side by side or one over the other under a slider.

const LARGEST_ZOOM = 8;
const ZOOM_STEP = 1.25;
const PAN_STEP = 0.1; // of the view's width or height
const SLIDER = "#slider";
const MOVES = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

function prepare(comparison) {
  const stage = comparison.querySelector("[data-stage]");
  const lens = new Lens(stage, comparison.querySelector("[data-zoom]"));
  comparison.querySelectorAll("[data-needs-script]").forEach((element) => {
    element.hidden = false;
  });
  stage.tabIndex = 0;
  stage.setAttribute("role", "group");
  stage.setAttribute("aria-label", "Both photographs: arrow keys move, plus and minus enlarge, 0 shows the whole");
  answerButtons(comparison, lens);
  answerKeys(stage, lens);
  answerWheel(stage, lens);
  answerDrags(stage, lens);
  offerLayouts(comparison, stage);
}

// What both photographs show: `x` and `y` are how far they are moved, in shares of the view.
class Lens {
  constructor(stage, output) {
    this.stage = stage;
    this.output = output;
    this.reset();
  }

  reset() {
    this.zoom = 1;
    this.moveTo(0, 0);
  }

  move(x, y) {
    this.moveTo(this.x + x, this.y + y);
  }

  // Nothing is moved further than its own edge.
  moveTo(x, y) {
    const most = (this.zoom - 1) / 2;
    this.x = clamp(x, -most, most);
    this.y = clamp(y, -most, most);
    this.show();
  }

  // What lies at the point (shares from the middle of the view) stays there.
  enlarge(factor, [x, y] = [0, 0]) {
    const zoom = clamp(this.zoom * factor, 1, LARGEST_ZOOM);
    const ratio = zoom / this.zoom;
    this.zoom = zoom;
    this.moveTo(x - (x - this.x) * ratio, y - (y - this.y) * ratio);
  }

  show() {
    this.stage.style.setProperty("--zoom", this.zoom);
    this.stage.style.setProperty("--move-x", `${this.x * 100}%`);
    this.stage.style.setProperty("--move-y", `${this.y * 100}%`);
    this.stage.classList.toggle("compare__stage--enlarged", this.zoom > 1);
    this.output.textContent = `${Math.round(this.zoom * 100)} %`;
  }
}

function answerButtons(comparison, lens) {
  const answer = (name, act) => comparison.querySelector(`[${name}]`).addEventListener("click", act);
  answer("data-zoom-in", () => lens.enlarge(ZOOM_STEP));
  answer("data-zoom-out", () => lens.enlarge(1 / ZOOM_STEP));
  answer("data-zoom-reset", () => lens.reset());
}

// Only while the photographs have the focus, so that nobody's typing is taken away.
function answerKeys(stage, lens) {
  stage.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) {
      return;
    }
    if (event.key in MOVES) {
      const [x, y] = MOVES[event.key];
      lens.move(x * PAN_STEP, y * PAN_STEP);
    } else if (event.key === "+" || event.key === "=") {
      lens.enlarge(ZOOM_STEP);
    } else if (event.key === "-") {
      lens.enlarge(1 / ZOOM_STEP);
    } else if (event.key === "0") {
      lens.reset();
    } else {
      return;
    }
    event.preventDefault();
  });
}

// With Ctrl alone: without it the wheel scrolls the page, as everywhere.
function answerWheel(stage, lens) {
  stage.addEventListener(
    "wheel",
    (event) => {
      if (!event.ctrlKey) {
        return;
      }
      event.preventDefault();
      const view = event.target.closest("[data-view]")?.getBoundingClientRect();
      const point = view && [
        (event.clientX - view.left) / view.width - 0.5,
        (event.clientY - view.top) / view.height - 0.5,
      ];
      lens.enlarge(event.deltaY < 0 ? ZOOM_STEP : 1 / ZOOM_STEP, point);
    },
    { passive: false },
  );
}

function answerDrags(stage, lens) {
  let last = null;
  stage.addEventListener("pointerdown", (event) => {
    if (event.isPrimary && event.button === 0) {
      last = event;
      stage.setPointerCapture(event.pointerId);
    }
  });
  stage.addEventListener("pointermove", (event) => {
    if (last && event.pointerId === last.pointerId) {
      const view = stage.querySelector("[data-view]");
      lens.move(
        (event.clientX - last.clientX) / view.clientWidth,
        (event.clientY - last.clientY) / view.clientHeight,
      );
      last = event;
    }
  });
  for (const type of ["pointerup", "pointercancel"]) {
    stage.addEventListener(type, () => {
      last = null;
    });
  }
}

// The layout stands in the address, and the links to other photographs keep it.
function offerLayouts(comparison, stage) {
  const slider = comparison.querySelector("[data-slider]");
  const wipe = comparison.querySelector("[data-wipe]");
  const choices = comparison.querySelectorAll("[name=layout]");

  const choose = (layout) => {
    const isSlider = layout === "slider";
    comparison.dataset.layout = layout;
    slider.hidden = !isSlider;
    choices.forEach((choice) => {
      choice.checked = choice.value === layout;
    });
    comparison.querySelectorAll("a[data-keeps-layout]").forEach((link) => {
      link.hash = isSlider ? SLIDER : "";
    });
    history.replaceState(null, "", location.pathname + location.search + (isSlider ? SLIDER : ""));
  };
  const uncover = () => stage.style.setProperty("--wipe", `${wipe.value}%`);

  choices.forEach((choice) => choice.addEventListener("change", () => choose(choice.value)));
  wipe.addEventListener("input", uncover);
  uncover();
  choose(location.hash === SLIDER ? "slider" : "side");
}

function clamp(value, least, most) {
  return Math.min(most, Math.max(least, value));
}

// Last, for the class above exists only from its own line on.
const comparison = document.querySelector("[data-compare]");
if (comparison) {
  prepare(comparison);
}
