// The body map: list and markers stay in step, and a lesion is placed by pointer or by keyboard.

const STEP = 4; // units of the drawing that an arrow key moves
const SMALL_STEP = 1;
const START = { x: 100, y: 130 }; // the middle of the chest or back
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const OFF_THE_BODY = "Off the body: choose a place inside the outline.";

document.querySelectorAll("[data-lesion-board]").forEach((board) => {
  keepInStep(board);
  const map = board.querySelector("[data-body-map][data-form]");
  const form = board.querySelector("form[data-lesion-form]");
  if (map && form) {
    preparePlacing(map, form);
  }
});

// Whatever of a lesion the pointer is over or the focus is in, its marker and its entry in the list stand out together.
function keepInStep(board) {
  const mark = (event) => {
    const number = event.target.closest("[data-lesion]")?.dataset.lesion;
    board.querySelectorAll("[data-lesion]").forEach((part) => {
      part.classList.toggle("is-highlighted", part.dataset.lesion === number);
    });
  };
  board.addEventListener("pointerover", mark);
  board.addEventListener("focusin", mark);
  board.addEventListener("pointerleave", () => mark({ target: document.activeElement ?? document.body }));
}

function preparePlacing(map, form) {
  const fields = {
    view: form.elements.body_view,
    x: form.elements.body_x,
    y: form.elements.body_y,
    site: form.elements.anatom_site_general,
    side: form.elements.laterality,
  };
  const drawings = [...map.querySelectorAll("svg[data-view]")];
  const status = map.querySelector("[data-status]");
  const clearing = map.querySelector("[data-clear]");
  const number = map.dataset.number;
  let placed = null; // the region of the mark

  map.classList.add("body-map--placing");
  map.querySelectorAll("[data-needs-script]").forEach((element) => {
    element.hidden = false;
  });
  drawings.forEach(prepareDrawing);
  clearing.querySelector("button").addEventListener("click", () => {
    clear("The mark is cleared.");
    drawings[0].focus();
  });
  [fields.site, fields.side].forEach((field) => field.addEventListener("change", checkChoice));
  showPlaceOfForm();

  function prepareDrawing(drawing) {
    drawing.setAttribute("tabindex", "0");
    drawing.setAttribute("role", "application");
    drawing.setAttribute(
      "aria-label",
      `Body, ${drawing.dataset.view}: arrow keys move the cross-hair, Enter marks lesion ${number}`,
    );
    const cross = drawing.querySelector("[data-cross]");
    let at = null;

    drawing.addEventListener("pointermove", (event) => {
      if (event.pointerType === "mouse") {
        pointAt(drawing, pointOf(drawing, event));
      }
    });
    drawing.addEventListener("pointerleave", restore);
    drawing.addEventListener("click", (event) => {
      if (!event.target.closest("a")) {
        at = pointOf(drawing, event);
        place(drawing, at);
      }
    });
    drawing.addEventListener("focus", () => {
      if (drawing.matches(":focus-visible")) {
        moveTo(at ?? START);
      }
    });
    drawing.addEventListener("blur", () => {
      cross.setAttribute("hidden", "");
      restore();
    });
    drawing.addEventListener("keydown", (event) => {
      if (event.target !== drawing || event.ctrlKey || event.altKey || event.metaKey) {
        return;
      }
      if (ARROWS[event.key]) {
        const [right, down] = ARROWS[event.key];
        const step = event.shiftKey ? SMALL_STEP : STEP;
        const { x, y } = at ?? START;
        const { width, height } = drawing.viewBox.baseVal;
        moveTo({ x: limit(x + right * step, width), y: limit(y + down * step, height) });
      } else if (event.key === "Enter" || event.key === " ") {
        place(drawing, at ?? START);
      } else if (event.key === "Escape" && placed) {
        clear("The mark is cleared.");
      } else {
        return;
      }
      event.preventDefault();
    });

    function moveTo(point) {
      at = point;
      cross.removeAttribute("hidden");
      cross.setAttribute("transform", `translate(${at.x} ${at.y})`);
      pointAt(drawing, at);
    }
  }

  function pointAt(drawing, point) {
    const region = regionAt(drawing, point);
    highlight(region);
    say(region ? region.dataset.label : "Off the body");
  }

  function place(drawing, point) {
    const region = regionAt(drawing, point);
    highlight(region);
    if (!region) {
      say(OFF_THE_BODY);
      return;
    }
    const { width, height } = drawing.viewBox.baseVal;
    fields.view.value = drawing.dataset.view;
    fields.x.value = (point.x / width).toFixed(4);
    fields.y.value = (point.y / height).toFixed(4);
    fields.site.value = region.dataset.site;
    fields.side.value = region.dataset.side;
    placed = region;
    showMark(drawing, point);
    say(describeMark());
  }

  function clear(words) {
    placed = null;
    fields.view.value = "";
    fields.x.value = "";
    fields.y.value = "";
    showMark(null);
    say(words);
  }

  // A site or side chosen by hand goes before the mark: the two may not contradict each other.
  function checkChoice() {
    if (placed && (fields.site.value !== placed.dataset.site || fields.side.value !== placed.dataset.side)) {
      clear(`The mark is cleared: it was at “${placed.dataset.label}”.`);
    }
  }

  // What the server put into the form, or the browser kept over a reload.
  function showPlaceOfForm() {
    const drawing = drawings.find((one) => one.dataset.view === fields.view.value);
    if (!drawing || fields.x.value === "" || fields.y.value === "") {
      return;
    }
    const { width, height } = drawing.viewBox.baseVal;
    const point = { x: Number(fields.x.value) * width, y: Number(fields.y.value) * height };
    placed = regionAt(drawing, point);
    showMark(drawing, point);
    restore();
  }

  function showMark(drawing, point) {
    drawings.forEach((one) => {
      const mark = one.querySelector("[data-mark]");
      mark.toggleAttribute("hidden", one !== drawing);
      if (one === drawing) {
        mark.setAttribute("transform", `translate(${point.x.toFixed(1)} ${point.y.toFixed(1)})`);
      }
    });
    clearing.hidden = !drawing;
  }

  function restore() {
    highlight(null);
    say(placed ? describeMark() : "");
  }

  function highlight(region) {
    map.querySelectorAll("[data-region]").forEach((one) => {
      one.classList.toggle("is-pointed-at", one === region);
    });
  }

  function describeMark() {
    return `Lesion ${number} is marked: ${placed.dataset.label}.`;
  }

  function say(words) {
    if (status.textContent !== words) {
      status.textContent = words;
    }
  }
}

function pointOf(drawing, event) {
  return new DOMPoint(event.clientX, event.clientY).matrixTransform(drawing.getScreenCTM().inverse());
}

// Only for the page: the server looks the place up in the same polygons and decides.
function regionAt(drawing, { x, y }) {
  const point = drawing.createSVGPoint();
  point.x = x;
  point.y = y;
  return [...drawing.querySelectorAll("[data-region]")].find((region) => region.isPointInFill(point)) ?? null;
}

function limit(value, maximum) {
  return Math.min(Math.max(value, 0), maximum);
}
