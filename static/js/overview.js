// The overview: each chart drawn from the table beside it, saved as a picture, printed. Without Chart.js or without
// scripts the tables stand alone.

import { drawFigure, paperColours, screenColours } from "./charts.js";
import { savePicture } from "./chart_picture.js";

const PAPER_WIDTH_PX = 660;
const PAPER_HEIGHT_PX = 180;
const PAPER_HEIGHT_LYING_PX = 260;

const scheme = window.matchMedia("(prefers-color-scheme: dark)");
let drawn = [];

if (window.Chart) {
  draw();
  scheme.addEventListener("change", draw);
  window.addEventListener("beforeprint", drawForPaper);
  window.addEventListener("afterprint", draw);
  offerPictures();
}
offerPrinting();

function figures() {
  return [...document.querySelectorAll("[data-chart]")].filter((figure) => figure.querySelector("canvas"));
}

function draw() {
  clear();
  drawn = figures().map((figure) => drawFigure(figure, { colours: screenColours() }));
}

// A browser lays a page out anew for paper, but a canvas stays as wide and as dark as it was.
function drawForPaper() {
  clear();
  drawn = figures().map((figure) => {
    const height = figure.dataset.chart === "lying" ? PAPER_HEIGHT_LYING_PX : PAPER_HEIGHT_PX;
    return drawFigure(figure, { colours: paperColours(), size: { width: PAPER_WIDTH_PX, height } });
  });
}

function clear() {
  drawn.forEach((chart) => chart.destroy());
  drawn = [];
}

function offerPictures() {
  document.querySelectorAll("[data-save-picture]").forEach((button) => {
    button.hidden = false;
    button.addEventListener("click", () => savePicture(button.closest("[data-chart]")));
  });
}

function offerPrinting() {
  const button = document.querySelector("[data-print]");
  if (button) {
    button.hidden = false;
    button.addEventListener("click", () => window.print());
  }
}
