// A chart as a PNG that explains itself: title, sample, filters and day are drawn into it, on white.

import { drawFigure, paperColours } from "./charts.js";

const PLOT_PX = { width: 960, height: 480 };
const MARGIN_PX = 24;
const RESOLUTION = 2;
const LINE_HEIGHT = 1.4;
// How long the picture stays in memory: until the browser has saved it.
const KEPT_MS = 60_000;

export function savePicture(figure) {
  const picture = compose(figure);
  picture.toBlob((content) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(content);
    link.download = `${figure.id}.png`;
    link.click();
    window.setTimeout(() => URL.revokeObjectURL(link.href), KEPT_MS);
  }, "image/png");
}

function compose(figure) {
  const colours = paperColours();
  const picture = document.createElement("canvas");
  const context = picture.getContext("2d");
  const lines = write(context, figure, colours);
  const headHeight = lines.reduce((sum, line) => sum + line.size * LINE_HEIGHT, MARGIN_PX * 1.5);

  picture.width = (PLOT_PX.width + 2 * MARGIN_PX) * RESOLUTION;
  picture.height = (headHeight + PLOT_PX.height + MARGIN_PX) * RESOLUTION;
  context.scale(RESOLUTION, RESOLUTION);
  context.fillStyle = colours.surface;
  context.fillRect(0, 0, picture.width, picture.height);
  context.textBaseline = "top";
  let top = MARGIN_PX;
  for (const { text, size, font, colour } of lines) {
    context.font = font;
    context.fillStyle = colour;
    context.fillText(text, MARGIN_PX, top);
    top += size * LINE_HEIGHT;
  }

  const plot = document.createElement("canvas");
  const chart = drawFigure(figure, { colours, canvas: plot, size: PLOT_PX, resolution: RESOLUTION });
  context.drawImage(plot, MARGIN_PX, headHeight, PLOT_PX.width, PLOT_PX.height);
  chart.destroy();
  return picture;
}

// What stands above the plot, broken into lines that fit.
function write(context, figure, colours) {
  const words = (element) => element?.textContent.replace(/\s+/g, " ").trim() ?? "";
  const day = new Date().toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric" });
  const parts = [
    { text: words(figure.querySelector("h3")), size: 22, weight: 650, colour: colours.text },
    { text: words(figure.querySelector(".chart__size")), size: 15, weight: 400, colour: colours.text },
    { text: `Filters: ${words(document.querySelector("[data-filters]"))}. Made on ${day}.`, size: 15, weight: 400, colour: colours.text },
    { text: words(figure.querySelector(".notice")), size: 13, weight: 400, colour: colours.muted },
    { text: words(document.querySelector("[data-rounded]")), size: 13, weight: 400, colour: colours.muted },
  ];
  return parts.flatMap(({ text, size, weight, colour }) => {
    const font = `${weight} ${size}px ${colours.font}`;
    context.font = font;
    return breakLines(context, text).map((line) => ({ text: line, size, font, colour }));
  });
}

function breakLines(context, text) {
  const lines = [];
  for (const word of text.split(" ").filter(Boolean)) {
    const longer = lines.length ? `${lines.at(-1)} ${word}` : word;
    if (lines.length && context.measureText(longer).width <= PLOT_PX.width) {
      lines[lines.length - 1] = longer;
    } else {
      lines.push(word);
    }
  }
  return lines;
}
