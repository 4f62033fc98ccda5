// A chart of a figure, drawn by Chart.js from the figure's table.

const SERIES = ["malignant", "benign"];
const STRIPE_PX = 8;
const TOKENS = {
  text: "--text",
  muted: "--text-muted",
  edge: "--edge",
  surface: "--surface",
  accent: "--accent",
  soft: "--accent-soft",
  alarm: "--alarm",
};

// Draws into the figure's own canvas, or into another one; `size` for one that does not follow its holder.
export function drawFigure(figure, { colours, canvas, size, resolution }) {
  const holder = figure.querySelector(".chart__canvas");
  holder.hidden = false;
  const target = canvas ?? holder.querySelector("canvas");
  if (size) {
    target.width = size.width;
    target.height = size.height;
  } else {
    target.removeAttribute("width");
    target.removeAttribute("height");
  }
  const config = figure.dataset.chart === "rates" ? rates(figure, colours) : outcomes(figure, colours);
  Object.assign(config.options, {
    animation: false,
    maintainAspectRatio: false,
    responsive: !size,
    ...(resolution && { devicePixelRatio: resolution }),
  });
  return new window.Chart(target, config);
}

export function screenColours() {
  return readColours(window.getComputedStyle(document.documentElement));
}

// The light ones, also where the page is dark.
export function paperColours() {
  const sheet = [...document.styleSheets].find((one) => one.href?.includes("/tokens.css"));
  const light = [...sheet.cssRules].find((rule) => rule.selectorText === ":root");
  return readColours(light.style);
}

function readColours(style) {
  const colours = Object.fromEntries(
    Object.entries(TOKENS).map(([name, token]) => [name, style.getPropertyValue(token).trim()]),
  );
  return { ...colours, font: window.getComputedStyle(document.documentElement).fontFamily };
}

// Malignant and benign, a bar for each row of the table.
function outcomes(figure, colours) {
  const shape = figure.dataset.chart;
  const { labels, datasets } = readTable(figure.querySelector("table"), colours);
  const isStacked = shape === "stacked";
  const groups = axis(colours, { grid: { display: false }, stacked: isStacked });
  const counts = axis(colours, {
    beginAtZero: true,
    stacked: isStacked,
    grid: { color: colours.edge },
    title: { display: true, text: figure.dataset.counted, color: colours.muted, font: { family: colours.font } },
  });
  counts.ticks.precision = 0;
  const isLying = shape === "lying";
  groups.ticks.autoSkip = !isLying;
  return {
    type: "bar",
    data: { labels, datasets },
    options: {
      indexAxis: isLying ? "y" : "x",
      onClick: (event, elements) => follow(datasets, elements),
      onHover: (event, elements) => {
        event.native.target.style.cursor = addressOf(datasets, elements) ? "pointer" : "default";
      },
      plugins: { legend: legend(colours) },
      scales: isLying ? { x: counts, y: groups } : { x: groups, y: counts },
    },
  };
}

// The heads of the columns that are drawn name the datasets, the first cell of a row its bars.
function readTable(table, colours) {
  const rows = [...table.tBodies[0].rows];
  const datasets = SERIES.map((series) => {
    const cells = rows.map((row) => row.querySelector(`[data-series="${series}"]`));
    return {
      label: table.tHead.querySelector(`[data-series="${series}"]`).textContent.trim(),
      // Nothing is drawn for a count that is too small to be shown.
      data: cells.map((cell) => (cell.dataset.value === "" ? null : Number(cell.dataset.value))),
      addresses: cells.map((cell) => cell.querySelector("a")?.href),
      backgroundColor: series === "malignant" ? stripes(colours.alarm, colours.surface) : colours.accent,
      borderColor: series === "malignant" ? colours.alarm : colours.accent,
      borderWidth: 1.5,
      maxBarThickness: 56,
    };
  });
  return { labels: rows.map((row) => row.cells[0].textContent.trim()), datasets };
}

// Each rate as a mark on the bar of its interval.
function rates(figure, colours) {
  const rows = [...figure.querySelectorAll("[data-rates] tbody tr")];
  const read = (row, name) => (row.dataset[name] === undefined ? null : 100 * Number(row.dataset[name]));
  const values = rows.map((row) => read(row, "rate"));
  return {
    type: "bar",
    data: {
      labels: rows.map((row) => row.dataset.label),
      datasets: [
        {
          label: "Rate (line) and its 95% interval (bar)",
          data: rows.map((row, place) => (values[place] === null ? null : [read(row, "low"), read(row, "high")])),
          backgroundColor: colours.soft,
          borderColor: colours.accent,
          borderWidth: 1.5,
          borderSkipped: false,
          barThickness: 16,
        },
      ],
    },
    options: {
      indexAxis: "y",
      plugins: {
        legend: legend(colours),
        tooltip: {
          callbacks: {
            label: ({ dataIndex }) => `${rows[dataIndex].cells[1].textContent.trim()}, 95% interval ${rows[dataIndex].cells[2].textContent.trim()}`,
          },
        },
      },
      scales: {
        x: axis(colours, {
          min: 0,
          max: 100,
          grid: { color: colours.edge },
          title: { display: true, text: "Per cent", color: colours.muted, font: { family: colours.font } },
        }),
        y: axis(colours, { grid: { display: false } }),
      },
    },
    plugins: [{ id: "values", afterDatasetsDraw: (chart) => markValues(chart, values, colours) }],
  };
}

function markValues(chart, values, colours) {
  const bars = chart.getDatasetMeta(0).data;
  const context = chart.ctx;
  context.save();
  context.strokeStyle = colours.text;
  context.lineWidth = 3;
  values.forEach((value, place) => {
    if (value !== null) {
      const x = chart.scales.x.getPixelForValue(value);
      context.beginPath();
      context.moveTo(x, bars[place].y - 12);
      context.lineTo(x, bars[place].y + 12);
      context.stroke();
    }
  });
  context.restore();
}

function legend(colours) {
  return { align: "start", labels: { color: colours.text, font: { family: colours.font, size: 13 } } };
}

function axis(colours, more) {
  return {
    border: { color: colours.edge },
    ticks: { color: colours.muted, font: { family: colours.font } },
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
