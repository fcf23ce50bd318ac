// The leaderboard's table, and the charts of the lines it shows.
"use strict";

const columns = JSON.parse(document.getElementById("data").textContent);
const rows = columns.run.map((_, place) =>
  Object.fromEntries([["key", place], ...Object.keys(columns).map((name) => [name, columns[name][place]])]));
const byId = (id) => document.getElementById(id);
const MOST_LINES = 8;

const values = (name) => [...new Set(columns[name])].filter((value) => value !== null);
const fill = (select, options) =>
  select.replaceChildren(...options.map(([value, text]) => new Option(text, value)));
fill(byId("task"), [...values("task").map((task) => [task, task]), ...(values("task").length > 1 ? [["", "all"]] : [])]);
fill(byId("n"), [
  ["full", "all candidates"], ["", "every N"],
  ...values("n").sort((a, b) => a - b).map((n) => [String(n), `N = ${n}`]),
]);

const nameCell = (cell) => {
  const { run, page } = cell.getData();
  if (!page) return textElement("span", run);
  const link = textElement("a", run);
  link.href = `runs/${page}.html`;
  return link;
};
const withError = (field) => (cell) => cell.getData()[`${field}_text`];
const questionsCell = (cell) =>
  (cell.getData().comparable ? brief.format(cell.getValue()) : textElement("span", `${brief.format(cell.getValue())} ⚠`, "bad"));
// On a phone the search field filters, and rows open to show what does not fit.
const filter = (kind) => (onPhone ? {} : { headerFilter: kind });
const choice = { ...filter("list"), headerFilterParams: { valuesLookup: true, clearable: true } };
const amount = (title, field, format, responsive) => ({
  title, field, responsive, hozAlign: "right", sorter: "number", sorterParams: { alignEmptyValues: "bottom" },
  headerSortStartingDir: "desc", formatter: typeof format === "function" ? format : numberOr(format),
});

const table = makeTable("#table", [
  onPhone ? opener : { formatter: "rowSelection", headerSort: false, width: 34, hozAlign: "center", frozen: true },
  {
    title: "run", field: "run", formatter: nameCell, responsive: 0, cssClass: "name", ...filter("input"),
    ...(onPhone ? { width: 112 } : { frozen: true, minWidth: 120, maxInitialWidth: 300 }),
  },
  { title: "aggregation", field: "aggregation", responsive: 0, ...(onPhone ? { width: 106 } : {}), ...choice },
  { ...amount("N", "n", brief, 1), ...filter("number") },
  amount("accuracy", "accuracy", withError("accuracy"), 0),
  amount("questions", "questions", questionsCell, 1),
  amount("coverage", "coverage", withError("coverage"), 2),
  { title: "sampler", field: "sampler", responsive: 3, ...choice },
  amount("strength", "strength", brief, 3),
  { title: "backbone", field: "backbone", responsive: 4, ...choice },
  { title: "checkpoint", field: "checkpoint", responsive: 4, ...choice },
  amount("thoughts", "thoughts", brief, 5),
  amount("answer tokens", "answer_tokens", brief, 5),
  amount("tokens", "tokens", short, 5),
  amount("samples/s", "samples_per_second", brief, 5),
  { title: "reward model", field: "reward_model", responsive: 6, visible: values("reward_model").length > 0, ...choice },
  { title: "task", field: "task", responsive: 6 },
  { title: "seed", field: "seed", responsive: 7, hozAlign: "right" },
], {
  data: rows,
  index: "key",
  rowFormatter: (row) => row.getElement().classList.toggle("unlike", !row.getData().comparable),
  initialSort: [{ column: "accuracy", dir: "desc" }],
  maxHeight: "70vh",
  selectableRows: true,
  selectableRowsRollingSelection: false,
});

const SEARCHED = ["run", "task", "backbone", "checkpoint", "sampler", "aggregation", "reward_model"];
const applyToolbar = () => {
  const [task, n] = [byId("task").value, byId("n").value];
  const terms = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  table.setFilter((row) =>
    (!task || row.task === task) &&
    (!n || (n === "full" ? row.full : row.n === Number(n))) &&
    terms.every((term) => SEARCHED.some((name) => (row[name] ?? "").toLowerCase().includes(term))));
};

// A line is a run's aggregation over all its N; the table's rows choose which are drawn.
const runKey = (row) => [row.run, row.task].join("\0");
const lineKey = (row) => [row.run, row.task, row.aggregation].join("\0");
const chosenLines = () => {
  const ticked = table.getSelectedData();
  // Single samples are left out where their run has an aggregation of several.
  const ofSeveral = (key) => new Set(rows.filter((row) => row.n > 1).map(key));
  const [lines, runs] = [ofSeveral(lineKey), ofSeveral(runKey)];
  const shown = (ticked.length ? ticked : table.getData("active")).filter(
    (row) => ticked.length || lines.has(lineKey(row)) || !runs.has(runKey(row)));
  return [...new Set(shown.map(lineKey))].slice(0, MOST_LINES);
};
const pointsOf = (keys) => {
  const points = keys.map((key) => rows.filter((row) => lineKey(row) === key).sort((a, b) => a.n - b.n)).flat();
  const tasks = new Set(points.map((point) => point.task));
  return points.map((point) => ({
    ...point,
    line: [point.run, point.aggregation, ...(tasks.size > 1 ? [point.task] : [])].join(" · "),
  }));
};

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

table.on("tableBuilt", () => {
  sortByKeyboard(table);
  byId("toolbar").addEventListener("input", applyToolbar);
  byId("toolbar").addEventListener("submit", (event) => event.preventDefault());
  byId("compute").addEventListener("change", drawCharts);
  table.on("dataFiltered", (_, found) => showCount(found.length, "rows"));
  table.on("rowSelectionChanged", drawCharts);
  table.on("renderComplete", drawCharts);
  applyToolbar();
});
