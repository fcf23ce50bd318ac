// The leaderboard: one toolbar, and what is shown of the rows that fit it.
"use strict";

const { columns, outcomes } = JSON.parse(byId("data").textContent);
const rows = columns.run.map((_, place) =>
  Object.fromEntries([["key", place], ...Object.keys(columns).map((name) => [name, columns[name][place]])]));

const values = (name) => [...new Set(columns[name])].filter((value) => value !== null);
const tasks = values("task");
fill(byId("task"), tasks.map((task) => [task, task]));
fill(byId("strategy"), [["", "every strategy"], ...values("aggregation").map((name) => [name, name])]);
fill(byId("n"), [
  ["full", "all candidates"], ["", "every N"],
  ...values("n").sort((a, b) => a - b).map((n) => [String(n), `N = ${n}`]),
]);
if (values("aggregation").includes("voting")) byId("strategy").value = "voting";

// A run's single candidate is what every strategy would choose of it.
const mostOf = new Map();
for (const { page, run, task, n } of rows) {
  const key = JSON.stringify([run, task]);
  mostOf.set(key, Math.max(mostOf.get(key) ?? 1, n));
}
for (const row of rows) {
  row.alone = mostOf.get(JSON.stringify([row.run, row.task])) === 1;
  row.made = [row.sampler, row.strength === null ? "" : row.strength_text].filter(Boolean).join(" ");
  row.words = [row.run, row.backbone, row.checkpoint, row.made, row.aggregation, row.reward_model, `seed ${row.seed}`]
    .filter(Boolean).join("\n").toLowerCase();
}
const chosenTask = () => byId("task").value;
const isFound = (row) =>
  byId("search").value.toLowerCase().split(/\s+/).every((term) => row.words.includes(term));
const fits = (row) => {
  const [strategy, n] = [byId("strategy").value, byId("n").value];
  return (!strategy || row.alone || row.aggregation === strategy) &&
    (!n || (n === "full" ? row.full : row.n === Number(n))) && isFound(row);
};
const isLimited = (row) => row.asked.includes(" ");
const chooses = (row) => `${row.aggregation}, N = ${row.n_text}`;

const nameCell = (cell) => {
  const row = cell.getData();
  const name = row.page ? linkElement(row.run, `runs/${row.page}.html`) : textElement("span", row.run);
  const box = textElement("div", "");
  box.append(name);
  if (onPhone) box.append(textElement("div", chooses(row), "small"));
  if (isLimited(row)) box.append(textElement("div", `${row.asked} questions`, "small bad"));
  else if (!row.comparable) box.append(textElement("div", `${row.asked} other questions`, "small bad"));
  return box;
};
const number = (title, field, responsive) => amount(title, field, {
  responsive, headerSortStartingDir: "desc", formatter: (cell) => cell.getData()[`${field}_text`],
});
const runColumns = (ticks) => [
  ...(onPhone ? [opener] : []),
  ...(ticks ? [{ formatter: "rowSelection", headerSort: false, width: 34, hozAlign: "center", frozen: !onPhone, responsive: 0 }] : []),
  {
    title: "run", field: "run", formatter: nameCell, responsive: 0, cssClass: "name", variableHeight: true,
    ...(onPhone ? { width: 170 } : { frozen: true, minWidth: 120, maxInitialWidth: 300 }),
  },
  ...(onPhone ? [] : [{ title: "strategy", field: "aggregation" }, number("N", "n")]),
  number("accuracy", "accuracy", 0),
  { title: "questions", field: "questions", hozAlign: "right", formatter: (cell) => cell.getData().asked, responsive: 1 },
  number("coverage", "coverage", 2),
  { title: "sampler", field: "sampler", responsive: 3 },
  number("strength", "strength", 3),
  { title: "backbone", field: "backbone", responsive: 4 },
  { title: "checkpoint", field: "checkpoint", responsive: 4 },
  number("thoughts", "thoughts", 5),
  number("answer tokens", "answer_tokens", 5),
  number("tokens", "tokens", 5),
  number("samples/s", "samples_per_second", 5),
  { title: "reward model", field: "reward_model", responsive: 6, visible: values("reward_model").length > 0 },
  { title: "seed", field: "seed", responsive: 7, hozAlign: "right" },
];
const sorted = { index: "key", initialSort: [{ column: "accuracy", dir: "desc" }] };
const table = makeTable("#table", runColumns(true), {
  ...sorted, data: rows.filter((row) => row.comparable), maxHeight: "70vh",
  selectableRows: true, selectableRowsRollingSelection: false,
});
const unlike = makeTable("#unlike", runColumns(false), { ...sorted, data: rows.filter((row) => !row.comparable), maxHeight: "40vh" });

// A model as it was sampled, with a column for each task; runs of one setup that share a task stay apart.
const setup = (row) => JSON.stringify(["checkpoint", "backbone", "made", "reward_model", "n", "aggregation"].map((name) => row[name]));
const modelRows = () => {
  const shown = rows.filter((row) => row.comparable && fits(row));
  const counts = groupBy(shown, (row) => JSON.stringify([setup(row), row.task]));
  const shared = new Set([...counts.values()].filter((some) => some.length > 1).map(([row]) => setup(row)));
  const groups = groupBy(shown, (row) => JSON.stringify([setup(row), shared.has(setup(row)) ? row.run : ""]));
  return [...groups].map(([key, members]) => ({
    key, model: members[0].checkpoint, row: members[0], run: shared.has(setup(members[0])) ? members[0].run : "",
    ...Object.fromEntries(members.flatMap((row) => [[`task${tasks.indexOf(row.task)}`, row.accuracy], [`row${tasks.indexOf(row.task)}`, row]])),
  }));
};
const modelCell = (cell) => {
  const { row, run } = cell.getData();
  const box = textElement("div", row.checkpoint);
  box.append(textElement("div", [row.sampler === "none" ? "deterministic" : row.made, chooses(row), row.reward_model, run].filter(Boolean).join(" · "), "small"));
  return box;
};
const models = tasks.length < 2 ? null : makeTable("#models", [
  { title: "model", field: "model", formatter: modelCell, cssClass: "name", variableHeight: true, frozen: true, ...(onPhone ? { width: 170 } : { minWidth: 240, maxInitialWidth: 360 }) },
  ...tasks.map((task, place) => amount(task, `task${place}`, {
    headerSortStartingDir: "desc", variableHeight: true,
    formatter: (cell) => {
      const row = cell.getData()[`row${place}`];
      if (!row) return "–";
      const box = textElement("div", "");
      box.append(row.page ? linkElement(row.accuracy_text, `runs/${row.page}.html`) : row.accuracy_text);
      if (isLimited(row)) box.append(textElement("div", row.asked, "small bad"));
      return box;
    },
  })),
], { data: modelRows(), index: "key", layout: "fitData", responsiveLayout: false, maxHeight: "50vh", initialSort: [{ column: "task0", dir: "desc" }] });

const OUTCOMES = Object.entries(JSON.parse(byId("outcomes").textContent));
const drawOutcomes = () => {
  const runs = new Map(rows.filter((row) => row.task === chosenTask() && row.comparable && row.page && isFound(row)).map((row) => [row.page, row.run]));
  const totalOf = (page) => outcomes[page].reduce((total, [count]) => total + count, 0);
  const right = (page) => outcomes[page][0][0] / totalOf(page);
  const pages = [...runs.keys()].sort((a, b) => right(b) - right(a));
  byId("bars").replaceChildren(...pages.flatMap((page) => {
    const address = `runs/${page}.html`;
    const bar = textElement("div", "", "bar");
    const total = totalOf(page);
    outcomes[page].forEach(([count, share], place) => {
      if (!count) return;
      const part = linkElement(count / total < (onPhone ? 0.1 : 0.04) ? "" : share, `${address}?vote=${encodeURIComponent(OUTCOMES[place][0])}`, `vote-${place}`);
      part.style.flexGrow = count;
      part.title = `${OUTCOMES[place][0]}: ${share}%, ${count} questions`;
      part.setAttribute("aria-label", `${runs.get(page)}, ${part.title}`);
      bar.append(part);
    });
    return [linkElement(runs.get(page), address, "bar-name"), bar];
  }));
};

const apply = () => {
  const shown = (row) => row.task === chosenTask() && fits(row);
  table.setFilter(shown);
  unlike.setFilter(shown);
  byId("unlike-section").hidden = !rows.some((row) => !row.comparable && row.task === chosenTask());
  models?.replaceData(modelRows());
  drawOutcomes();
  showTicks();
};

const built = (one) => new Promise((done) => { one.on("tableBuilt", done); });
Promise.all([table, unlike, ...(models ? [models] : [])].map(built)).then(() => {
  byId("toolbar").addEventListener("input", apply);
  byId("toolbar").addEventListener("submit", (event) => event.preventDefault());
  byId("compute").addEventListener("change", drawCharts);
  byId("untick").addEventListener("click", () => table.deselectRow(ticked().map((row) => row.key)));
  table.on("dataFiltered", (_, found) => showCount(found.length, "row"));
  table.on("rowSelectionChanged", () => { showTicks(); drawCharts(); });
  table.on("renderComplete", drawCharts);
  apply();
});
