// The leaderboard's three charts: the page's chart.vl.json with the points of the chosen lines.
"use strict";

const CHART = document.getElementById("chart").textContent;
const COLORS = JSON.parse(CHART).encoding.color.scale.range;

// Ink follows the page, so that light and dark need one description.
const INK = {
  background: "transparent",
  view: { stroke: null },
  legend: { disable: true },
  axis: {
    labelColor: "currentColor", titleColor: "currentColor", domainColor: "currentColor",
    tickColor: "currentColor", gridColor: "currentColor", gridOpacity: 0.15, domainOpacity: 0.4,
    labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal",
  },
};

const chartOf = (points, { x, y, xTitle, yTitle }) => ({
  ...JSON.parse(CHART.replaceAll("$X", xTitle).replaceAll("$Y", yTitle)),
  width: "container",
  height: 280,
  autosize: { type: "fit", contains: "padding" },
  config: INK,
  data: {
    values: points.filter((point) => point[x] !== null && point[y] !== null).map((point) => (
      { ...point, x: point[x], y: point[y], y_low: point[`${y}_low`], y_high: point[`${y}_high`], y_text: point[`${y}_text`], kind: point.aggregation })),
  },
});

const drawChart = async (place, points, description) => {
  await vegaEmbed(place, chartOf(points, description), {
    renderer: "svg",
    actions: { export: true, source: false, compiled: false, editor: false },
    tooltip: { theme: window.matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light" },
  });
  document.querySelector(`${place} summary`).setAttribute("aria-label", "save this chart");
};

const drawLegend = (points) => {
  const lines = new Map(points.map((point) => [point.line, point]));
  const items = [...lines.keys()].map((line, index) => {
    const item = textElement("li", line);
    item.style.setProperty("--swatch", COLORS[index]);
    return item;
  });
  document.getElementById("legend").replaceChildren(...items);
};
