// Draws each chart of the overview from the table beside it; without Chart.js the tables stand alone.

const SERIES = ["malignant", "benign"];
const STRIPE_PX = 8;

const scheme = window.matchMedia("(prefers-color-scheme: dark)");
let drawn = [];

if (window.Chart) {
  draw();
  scheme.addEventListener("change", draw);
}

function draw() {
  drawn.forEach((chart) => chart.destroy());
  drawn = [...document.querySelectorAll("[data-chart]")].map(drawFigure);
}

function drawFigure(figure) {
  const holder = figure.querySelector(".chart__canvas");
  holder.hidden = false;
  const colours = readColours();
  const { labels, datasets } = readTable(figure.querySelector("table"), colours);
  return new window.Chart(holder.querySelector("canvas"), {
    type: "bar",
    data: { labels, datasets },
    options: {
      animation: false,
      maintainAspectRatio: false,
      onClick: (event, elements) => follow(datasets, elements),
      onHover: (event, elements) => {
        event.native.target.style.cursor = addressOf(datasets, elements) ? "pointer" : "default";
      },
      plugins: {
        legend: { align: "start", labels: { color: colours.text, font: { family: colours.font, size: 13 } } },
      },
      scales: {
        x: axis(colours, { grid: { display: false } }),
        y: axis(colours, {
          beginAtZero: true,
          grid: { color: colours.edge },
          title: { display: true, text: "Examinations", color: colours.muted, font: { family: colours.font } },
        }),
      },
    },
  });
}

// The heads of the columns that are drawn name the datasets, the first cell of a row its bars.
function readTable(table, colours) {
  const rows = [...table.tBodies[0].rows];
  const datasets = SERIES.map((series) => {
    const cells = rows.map((row) => row.querySelector(`[data-series="${series}"]`));
    return {
      label: table.tHead.querySelector(`[data-series="${series}"]`).textContent.trim(),
      data: cells.map((cell) => Number(cell.dataset.value)),
      addresses: cells.map((cell) => cell.querySelector("a")?.href),
      backgroundColor: series === "malignant" ? stripes(colours.alarm, colours.surface) : colours.accent,
      borderColor: series === "malignant" ? colours.alarm : colours.accent,
      borderWidth: 1.5,
      maxBarThickness: 56,
    };
  });
  return { labels: rows.map((row) => row.cells[0].textContent.trim()), datasets };
}

function axis(colours, more) {
  return {
    border: { color: colours.edge },
    ticks: { color: colours.muted, precision: 0, font: { family: colours.font } },
    ...more,
  };
}

function addressOf(datasets, [element]) {
  return element && datasets[element.datasetIndex].addresses[element.index];
}

function follow(datasets, elements) {
  const address = addressOf(datasets, elements);
  if (address) {
    window.location.assign(address);
  }
}

// Stripes, so that malignant bars are known without their colour.
function stripes(line, ground) {
  const tile = document.createElement("canvas");
  tile.width = STRIPE_PX;
  tile.height = STRIPE_PX;
  const context = tile.getContext("2d");
  context.fillStyle = ground;
  context.fillRect(0, 0, STRIPE_PX, STRIPE_PX);
  context.strokeStyle = line;
  context.lineWidth = 3;
  for (const offset of [-STRIPE_PX, 0, STRIPE_PX]) {
    context.moveTo(offset - 1, STRIPE_PX + 1);
    context.lineTo(offset + STRIPE_PX + 1, -1);
  }
  context.stroke();
  return context.createPattern(tile, "repeat");
}

function readColours() {
  const style = window.getComputedStyle(document.documentElement);
  const token = (name) => style.getPropertyValue(name).trim();
  return {
    text: token("--text"),
    muted: token("--text-muted"),
    edge: token("--edge"),
    surface: token("--surface"),
    accent: token("--accent"),
    alarm: token("--alarm"),
    font: style.fontFamily,
  };
}
