// A run's questions, alone or beside those of another run of the task.
"use strict";

const asked = new URLSearchParams(location.search);
const others = new Map((RUNS.find(([task]) => task === PAGE.task) ?? [null, []])[1]); // page -> run
const sides = []; // of this run, and of the one beside it
const pools = []; // JSON of each question's pool, parsed when it is opened
const runPage = {
  pool: (json) => pools.push(json),
  questions: (json) => {
    const { strategies, columns } = JSON.parse(json);
    const rows = columns.id.map((_, place) => ({
      place, ...Object.fromEntries(Object.keys(columns).map((name) => [name, columns[name][place]])),
    }));
    sides.push({ strategies, rows, pools: pools.splice(0), title: "" });
    if (sides.length === 1 && others.has(asked.get("beside"))) loadBeside(asked.get("beside"));
    else showQuestions();
  },
};
// Only a page that the board wrote is loaded, whatever the address says.
const loadBeside = (page) => {
  const script = document.createElement("script");
  script.src = `${encodeURIComponent(page)}.js`;
  script.addEventListener("error", showQuestions);
  document.body.append(script);
};

// By what a question counts as right: the vote, or any strategy that is right or wrong throughout.
const judges = (side) => ["voting", ...side.strategies.map(([name]) => name).filter(
  (name) => name !== "voting" && side.rows.every((row) => [0, 1].includes(row[name])))];
const isRight = (row, judge) => (judge === "voting" ? row.outcome === "right" : row[judge] === 1);

// What the list can be narrowed to: value -> its text and whether a row belongs to it.
const choicesOf = () => {
  const choices = new Map([["", ["all", () => true]]]);
  if (sides.length > 1) {
    const [a, b] = [byId("judge-a").value, byId("judge-b").value];
    const both = (inA, inB) => (row) => row.other && isRight(row, a) === inA && isRight(row.other, b) === inB;
    choices.set("a", ["A right, B wrong", both(true, false)]);
    choices.set("b", ["B right, A wrong", both(false, true)]);
    choices.set("both", ["both right", both(true, true)]);
    choices.set("neither", ["both wrong", both(false, false)]);
  }
  for (const [outcome, sentence] of Object.entries(OUTCOMES)) {
    choices.set(outcome, [`${sides.length > 1 ? "A " : ""}${outcome}: ${sentence}`, (row) => row.outcome === outcome]);
  }
  return choices;
};
const fillChoices = (value) => {
  const counted = ([key, [text, fits]]) => [key, `${text} (${sides[0].rows.filter(fits).length})`];
  const choices = choicesOf();
  fill(byId("outcome"), [...choices].map(counted));
  byId("outcome").value = choices.has(value) ? value : "";
};

// Questions are the same where id, gold and text are; an imported pool may have no text.
const joinSides = () => {
  const [side, other] = sides;
  const byName = new Map(other.rows.map((row) => [row.id, row]));
  for (const row of side.rows) {
    const found = byName.get(row.id);
    const textsAgree = found && (found.question === row.question || !found.question || !row.question);
    row.other = textsAgree && found.gold_key === row.gold_key ? found : null;
    row.outcomeB = row.other?.outcome ?? null;
    row.votedB = row.other?.voted ?? null;
  }
  side.title = `A: ${PAGE.run}`;
  other.title = `B: ${others.get(asked.get("beside"))}`;
  byId("who").textContent = `${side.title}. ${other.title}.`;
  sides.forEach((one, place) => {
    const select = byId(["judge-a", "judge-b"][place]);
    fill(select, judges(one).map((name) => [name, name]));
    if (judges(one).includes(asked.get("ab"[place]))) select.value = asked.get("ab"[place]);
  });
  byId("who").hidden = byId("judges").hidden = false;
};

function questionColumns() {
  const two = sides.length > 1;
  const of = (title, side) => (two ? `${title}, ${side}` : title);
  const idCell = (cell) => linkElement(cell.getValue(), `#${cell.getData().place}`);
  const outcomeCell = (cell) => {
    if (cell.getValue() === null) return "–";
    return textElement("span", cell.getValue(), cell.getValue() === "right" ? "good" : "bad");
  };
  const share = (cell) => `${cell.getValue()} of ${cell.getData().n}`;
  return [
    ...(onPhone ? [opener] : []),
    { title: "question", field: "id", formatter: idCell, sorter: "alphanum", responsive: 0 },
    { title: of("vote", "A"), field: "outcome", formatter: outcomeCell, responsive: 0 },
    ...(two ? [{ title: "vote, B", field: "outcomeB", formatter: outcomeCell, responsive: 0 }] : []),
    { title: "gold", field: "gold", hozAlign: "right", sorter: "alphanum", responsive: 1 },
    { title: of("voted", "A"), field: "voted", hozAlign: "right", sorter: "alphanum", responsive: 1 },
    ...(two ? [{ title: "voted, B", field: "votedB", hozAlign: "right", sorter: "alphanum", responsive: 1 }] : []),
    amount(of("votes for it", "A"), "votes", { formatter: share, responsive: 2 }),
    amount(of("right candidates", "A"), "right", { formatter: share, responsive: 2 }),
    ...(two ? [] : [amount("answers", "answers", { responsive: 3 })]),
    ...sides[0].strategies.map(([name, title]) => (
      { title: of(title, "A"), field: name, formatter: (cell) => mark(cell.getValue()), responsive: 1 })),
    { title: "text", field: "question", widthGrow: 1, minWidth: 240, responsive: 4 },
  ];
}

function showQuestions() {
  const { rows, pools: texts } = sides[0];
  if (sides.length > 1) joinSides();
  fill(byId("beside"), [["", "no other run"], ...[...others].filter(([page]) => page !== PAGE.slug)]);
  byId("beside").value = sides.length > 1 ? asked.get("beside") : "";
  fillChoices(asked.get("vote") ?? "");
  const table = makeTable("#table", questionColumns(), {
    data: rows, index: "place", height: "75vh", rowHeight: onPhone ? undefined : 30,
  });

  let haystacks = null; // made when something is searched for
  const haystack = (row) => {
    const parts = [row.id, row.question, row.gold, row.voted];
    for (const [text, answer] of JSON.parse(texts[row.place]).texts) parts.push(text, answer);
    return parts.join("\n").toLowerCase();
  };
  const apply = () => {
    const [, fits] = choicesOf().get(byId("outcome").value);
    const term = byId("search").value.trim().toLowerCase();
    if (term) haystacks ??= rows.map(haystack);
    table.setFilter((row) => fits(row) && (!term || haystacks[row.place].includes(term)));
  };
  byId("beside").addEventListener("change", (event) => {
    event.stopPropagation();
    const page = byId("beside").value;
    location.search = page ? new URLSearchParams({ beside: page }) : "";
  });
  byId("judges").addEventListener("input", () => fillChoices(byId("outcome").value));
  table.on("tableBuilt", () => {
    byId("toolbar").addEventListener("input", (event) => { if (event.target.id !== "beside") apply(); });
    byId("toolbar").addEventListener("submit", (event) => event.preventDefault());
    table.on("dataFiltered", (_, found) => showCount(found.length, "question"));
    apply();
    document.body.dataset.ready = rows.length;
    openFromAddress();
  });
  table.on("rowClick", (_, row) => { location.hash = row.getData().place; });
  hintAtMore(byId("numbers").parentElement, byId("numbers"));

  // The open question stands in the address, so that it can be linked to and the back button closes it.
  const openFromAddress = () => {
    const row = rows[Number(location.hash.slice(1) || NaN)];
    if (row) openQuestion(sides, row); else byId("question").close();
  };
  window.addEventListener("hashchange", openFromAddress);
  byId("question").addEventListener("close", () => {
    if (location.hash) history.pushState(null, "", location.pathname + location.search);
  });
  const step = (by) => {
    const order = table.getData("active").map((row) => row.place);
    const next = order[order.indexOf(Number(location.hash.slice(1))) + by];
    if (next !== undefined) location.hash = next;
  };
  byId("previous").addEventListener("click", () => step(-1));
  byId("next").addEventListener("click", () => step(1));
}
