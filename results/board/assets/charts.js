// The leaderboard's three charts, described for Vega-Lite.
"use strict";

const COLORS = ["#4c78a8", "#f58518", "#54a24b", "#e45756", "#72b7b2", "#b279a2", "#d4a72c", "#9d755d"];
const DASHES = [[1, 0], [6, 3], [2, 2], [8, 3, 2, 3]];
const Z = 1.959964; // two-sided 95% of a normal distribution

// Ink follows the page, so that light and dark need one description.
const INK = {
  background: "transparent",
  view: { stroke: null },
  axis: {
    labelColor: "currentColor", titleColor: "currentColor", domainColor: "currentColor",
    tickColor: "currentColor", gridColor: "currentColor", gridOpacity: 0.15, domainOpacity: 0.4,
    labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal",
  },
};

const band = (y, sign) => `datum.${y} + ${sign} * ${Z} * datum.${y}_stderr`;

const chartOf = (points, { x, y, xTitle, yTitle }) => {
  const lines = [...new Set(points.map((point) => point.line))];
  const kinds = [...new Set(points.map((point) => point.aggregation))];
  const number = (field, title, format) => ({ field, type: "quantitative", title, format });
  return {
    $schema: "https://vega.github.io/schema/vega-lite/v6.json",
    description: `${yTitle} against ${xTitle}, a line for each of: ${lines.join("; ")}`,
    width: "container",
    height: 280,
    autosize: { type: "fit", contains: "padding" },
    config: INK,
    data: { values: points.filter((point) => point[x] !== null && point[y] !== null) },
    transform: [
      { calculate: `100 * datum.${y}`, as: "mean" },
      { calculate: `max(0, 100 * (${band(y, -1)}))`, as: "low" },
      { calculate: `min(100, 100 * (${band(y, 1)}))`, as: "high" },
    ],
    encoding: {
      x: {
        field: x, type: "quantitative", title: xTitle, scale: { type: "log", base: 2, nice: false },
        axis: { format: "~s", labelOverlap: true, labelFlush: true },
      },
      y: { type: "quantitative", title: yTitle, scale: { zero: false } },
      color: { field: "line", type: "nominal", legend: null, scale: { domain: lines, range: COLORS } },
    },
    layer: [
      { mark: { type: "area", opacity: 0.12 }, encoding: { y: { field: "low" }, y2: { field: "high" } } },
      { mark: { type: "rule", opacity: 0.3 }, encoding: { y: { field: "low" }, y2: { field: "high" } } },
      {
        mark: { type: "line", strokeWidth: 2 },
        encoding: {
          y: { field: "mean" },
          strokeDash: { field: "aggregation", type: "nominal", legend: null, scale: { domain: kinds, range: DASHES } },
        },
      },
      {
        mark: { type: "point", filled: true, size: 45, opacity: 1 },
        encoding: {
          y: { field: "mean" },
          tooltip: [
            { field: "line", title: "run" }, number("n", "N"), number("mean", yTitle, ".1f"),
            number("low", "95% from", ".1f"), number("high", "to", ".1f"),
            number("tokens", "tokens", ",.0f"), number("questions", "questions"),
          ],
        },
      },
    ],
  };
};

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
  const items = [...lines.keys()].map((line, place) => {
    const item = textElement("li", line);
    item.style.setProperty("--swatch", COLORS[place]);
    return item;
  });
  document.getElementById("legend").replaceChildren(...items);
};
