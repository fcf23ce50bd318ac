// The ticked rows of the chosen task: their curves, and of two the paired difference.
"use strict";

const MOST_LINES = 8;
const pairs = JSON.parse(byId("pairs").textContent);

// Ticks of other tasks are kept for when these are chosen again.
const ticked = () => table.getSelectedData().filter((row) => row.task === chosenTask());

// Rows pair as (0, 1), (0, 2), …, (1, 2), …; turned round, a difference changes its sign.
const pairOf = (a, b) => {
  const { rows: keys, pairs: all } = pairs[chosenTask()];
  const [one, other] = [keys.indexOf(a.key), keys.indexOf(b.key)];
  if (one < 0 || other < 0) return null;
  const [i, j] = [Math.min(one, other), Math.max(one, other)];
  const found = all[i * keys.length - (i * (i + 1)) / 2 + (j - i - 1)];
  if (!found || one < other) return found;
  const [difference, low, high, onlyA, onlyB] = found;
  return [-difference, -high, -low, ...(onlyA === undefined ? [] : [onlyB, onlyA])];
};
const signed = (points) => `${points < 0 ? "−" : "+"}${Math.abs(points).toFixed(1)}`; // one decimal already

const pairText = (a, b) => {
  const pair = pairOf(a, b);
  if (!pair) return "The paired difference of these two rows is not on this page: their questions differ, a log could not be read, or there are too many rows. latent-tts compare pairs any two runs.";
  const [difference, low, high, onlyA, onlyB] = pair;
  const counts = onlyA === undefined ? "" : ` Only A is right on ${onlyA}, only B on ${onlyB}.`;
  return `A − B: ${signed(difference)} points, 95% interval ${signed(low)} to ${signed(high)}, paired over ${a.questions} questions.${counts}`;
};

const showTicks = () => {
  const chosen = ticked();
  byId("untick").hidden = !chosen.length;
  const lines = chosen.length === 2
    ? [...chosen.map((row, place) => textElement("div", `${"AB"[place]}: ${row.run}, ${chooses(row)}: ${row.accuracy_text}`)),
      textElement("strong", pairText(...chosen))]
    : [`${chosen.length || "No"} ${chosen.length === 1 ? "row is" : "rows are"} ticked. Tick two to see their paired difference; the curves follow the ticks.`];
  const [a, b] = chosen;
  if (chosen.length === 2 && a.page && b.page) {
    const asked = new URLSearchParams({ beside: b.page, a: a.aggregation, b: b.aggregation });
    lines.push(" ", linkElement("See both question by question", `runs/${a.page}.html?${asked}`));
  }
  byId("pair").replaceChildren(...lines);
};

// A line is a run's strategy over all its N; the table's rows choose which are drawn.
const runKey = (row) => [row.run, row.task].join("\0");
const lineKey = (row) => [row.run, row.task, row.aggregation].join("\0");
const chosenLines = () => {
  const chosen = ticked();
  // Single samples are left out where their run has a strategy of several.
  const ofSeveral = (key) => new Set(rows.filter((row) => row.n > 1).map(key));
  const [lines, runs] = [ofSeveral(lineKey), ofSeveral(runKey)];
  const shown = (chosen.length ? chosen : table.getData("active")).filter(
    (row) => chosen.length || lines.has(lineKey(row)) || !runs.has(runKey(row)));
  return [...new Set(shown.map(lineKey))].slice(0, MOST_LINES);
};
const pointsOf = (keys) =>
  keys.flatMap((key) => rows.filter((row) => lineKey(row) === key).sort((a, b) => a.n - b.n))
    .map((row) => ({ ...row, line: `${row.run} · ${row.aggregation}` }));

let drawn = "";
const drawCharts = async () => {
  const unit = byId("compute").value;
  const keys = chosenLines();
  if (drawn === (drawn = JSON.stringify([keys, unit]))) return;
  const points = pointsOf(keys);
  const perQuestion = unit === "flops" ? "FLOPs per question" : "tokens per question";
  drawLegend(points);
  const samples = { x: "n", xTitle: "samples per question, N" };
  await Promise.all([
    drawChart("#chart-accuracy", points, { ...samples, y: "accuracy", yTitle: "accuracy, %" }),
    drawChart("#chart-coverage", points, { ...samples, y: "coverage", yTitle: "coverage, %" }),
    drawChart("#chart-compute", points, { x: unit, xTitle: perQuestion, y: "accuracy", yTitle: "accuracy, %" }),
  ]);
  document.body.dataset.drawn = keys.length;
};
