// A run's questions, and the candidates and votes of the one that is open.
"use strict";

const byId = (id) => document.getElementById(id);
const pools = []; // JSON of each question's pool, parsed when it is opened
const runPage = {
  pool: (json) => pools.push(json),
  questions: (json) => showQuestions(JSON.parse(json)),
};

const mark = (value) => {
  if (value === null) return textElement("span", "–");
  return textElement("span", value ? "✓ right" : "✗ wrong", value ? "good" : "bad");
};
const at = (column, place) => (Array.isArray(column) ? column[place] : column);
const amount = (title, field, rest = {}) => ({
  title, field, hozAlign: "right", sorter: "number", sorterParams: { alignEmptyValues: "bottom" }, ...rest,
});

function showQuestions(columns) {
  const rows = columns.id.map((_, place) => ({
    place, ...Object.fromEntries(Object.keys(columns).map((name) => [name, columns[name][place]])),
  }));
  const idCell = (cell) => {
    const link = textElement("a", cell.getValue());
    link.href = `#${cell.getData().place}`;
    return link;
  };
  const outcomeCell = (cell) => textElement("span", cell.getValue(), cell.getValue() === "right" ? "good" : "bad");
  const share = (cell) => `${cell.getValue()} of ${cell.getData().n}`;
  const table = makeTable("#table", [
    ...(onPhone ? [opener] : []),
    { title: "question", field: "id", formatter: idCell, sorter: "alphanum", responsive: 0 },
    { title: "vote", field: "outcome", formatter: outcomeCell, responsive: 0 },
    { title: "gold", field: "gold", hozAlign: "right", sorter: "alphanum", responsive: 1 },
    { title: "voted", field: "voted", hozAlign: "right", sorter: "alphanum", responsive: 1 },
    amount("votes for it", "votes", { formatter: share, responsive: 2 }),
    amount("right candidates", "right", { formatter: share, responsive: 2 }),
    amount("answers", "answers", { responsive: 3 }),
    ...STRATEGIES.map(([name, title]) => (
      { title, field: name, formatter: (cell) => mark(cell.getValue()), responsive: 1 })),
    { title: "text", field: "question", widthGrow: 1, minWidth: 240, responsive: 4 },
  ], {
    data: rows,
    index: "place",
    height: "75vh",
    rowHeight: onPhone ? undefined : 30,
  });

  let haystacks = null; // made when something is searched for
  const haystack = (row) => {
    const parts = [row.id, row.question, row.gold, row.voted];
    for (const [text, answer] of JSON.parse(pools[row.place]).texts) parts.push(text, answer);
    return parts.join("\n").toLowerCase();
  };
  const applyToolbar = () => {
    const outcome = byId("outcome").value;
    const term = byId("search").value.trim().toLowerCase();
    if (term) haystacks ??= rows.map(haystack);
    table.setFilter((row) => (!outcome || row.outcome === outcome) && (!term || haystacks[row.place].includes(term)));
  };
  table.on("tableBuilt", () => {
    sortByKeyboard(table);
    byId("toolbar").addEventListener("input", applyToolbar);
    byId("toolbar").addEventListener("submit", (event) => event.preventDefault());
    table.on("dataFiltered", (_, found) => showCount(found.length, "questions"));
    showCount(rows.length, "questions");
    document.body.dataset.ready = rows.length;
    openFromAddress();
  });
  table.on("rowClick", (_, row) => { location.hash = row.getData().place; });

  // The open question stands in the address, so that it can be linked to and the back button closes it.
  const openFromAddress = () => {
    const row = rows[Number(location.hash.slice(1) || NaN)];
    if (row) openQuestion(row); else byId("question").close();
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

let openTables = [];
function openQuestion(row) {
  const pool = JSON.parse(pools[row.place]);
  const candidates = candidateRows(pool, row.n);
  byId("question-id").textContent = row.id;
  byId("question-text").textContent = row.question;
  byId("question-verdict").replaceChildren(
    textElement("strong", row.outcome, row.outcome === "right" ? "good" : "bad"),
    `: ${OUTCOMES[row.outcome]}. Gold ${row.gold}, voted ${row.voted ?? "nothing"} with ${row.votes} of ${row.n} votes; ` +
    `${row.right} of ${row.n} candidates are right.`);
  if (!byId("question").open) byId("question").showModal();
  byId("question").scrollTop = 0;
  openTables.forEach((table) => table.destroy());
  openTables = [showVotes(pool, candidates, row), showCandidates(candidates)];
  openTables.forEach((table) => table.on("tableBuilt", () => sortByKeyboard(table)));
}

function candidateRows(pool, count) {
  const rows = Array.from({ length: count }, (_, place) => {
    const [text, answer] = pool.texts[at(pool.text, place)];
    const vote = at(pool.vote, place);
    return {
      number: place + 1, text, answer, vote, right: vote < 0 ? null : Boolean(pool.right[vote]),
      reward: pool.reward?.[place] ?? null, steps: pool.steps?.[place] ?? null,
      thoughts: at(pool.thoughts, place), tokens: at(pool.tokens, place),
      truncated: Boolean(at(pool.truncated, place)),
    };
  });
  const beams = (pool.beams ?? []).map(([text, answer, thoughts, tokens, truncated, reward, right, steps], place) => ({
    number: `beam ${place + 1}`, text, answer, vote: null, right, reward, steps,
    thoughts, tokens, truncated: Boolean(truncated),
  }));
  const all = [...rows, ...beams];
  all.forEach((candidate, place) => { candidate.chosen = chosenBy(pool, 0, place); });
  return all;
}

// The aggregations that chose a candidate (part 0) or an answer (part 1).
const chosenBy = (pool, part, place) =>
  Object.keys(pool.chosen).filter((name) => pool.chosen[name][part] === place).join(", ");
const chosenColumn = { title: "chosen by", field: "chosen", sorter: "string", responsive: 1 };

const rounded = (value) => (value === null ? "–" : value.toFixed(3));
const rewardColumn = (title, field) => amount(title, field, {
  formatter: (cell) => rounded(cell.getValue()), headerSortStartingDir: "desc",
});

function showVotes(pool, candidates, row) {
  const rows = pool.answers.map((answer, vote) => {
    const voters = candidates.filter((candidate) => candidate.vote === vote);
    const rewards = voters.map((voter) => voter.reward).filter((reward) => reward !== null);
    const sum = rewards.reduce((total, reward) => total + reward, 0);
    return {
      answer, votes: voters.length, share: (100 * voters.length) / row.n, right: Boolean(pool.right[vote]),
      weight: pool.weight?.[vote] ?? null, chosen: chosenBy(pool, 1, vote),
      best: rewards.length ? Math.max(...rewards) : null, mean: rewards.length ? sum / rewards.length : null,
    };
  });
  rows.sort((a, b) => b.votes - a.votes); // stable: of tied answers the earliest leads, as in the vote
  const silent = candidates.filter((candidate) => candidate.vote === -1).length;
  if (silent) rows.push({ answer: "no answer", votes: silent, share: (100 * silent) / row.n, right: null, weight: null, chosen: chosenBy(pool, 1, -1), best: null, mean: null });
  return makeTable("#votes", [
    ...(onPhone ? [opener] : []),
    { title: "answer", field: "answer", sorter: "alphanum" },
    { title: "verdict", field: "right", formatter: (cell) => mark(cell.getValue()), headerSort: false },
    amount("votes", "votes", { headerSortStartingDir: "desc" }),
    chosenColumn,
    ...(pool.reward ? [rewardColumn("weight", "weight"), rewardColumn("best reward", "best"), rewardColumn("mean reward", "mean")] : []),
    { title: "share", field: "share", formatter: "progress", formatterParams: { color: "var(--accent)" }, minWidth: 60, headerSort: false, responsive: 0 },
  ], { data: rows, maxHeight: "40vh" });
}

function showCandidates(candidates) {
  const rewarded = candidates.some((candidate) => candidate.reward !== null);
  const stepped = candidates.some((candidate) => candidate.steps !== null);
  const steps = (cell) => (cell.getValue() ?? []).map((step) => (step === null ? "–" : step.toFixed(2))).join("  ");
  const textCell = (cell) => {
    const element = textElement("span", cell.getValue());
    if (cell.getData().truncated) element.append(textElement("em", " (cut off)", "bad"));
    return element;
  };
  return makeTable("#candidates", [
    ...(onPhone ? [opener] : []),
    { title: "#", field: "number", sorter: "alphanum", hozAlign: "right" },
    { title: "answer", field: "answer", sorter: "alphanum", hozAlign: "right" },
    { title: "verdict", field: "right", formatter: (cell) => mark(cell.getValue()), headerSort: false },
    chosenColumn,
    ...(rewarded ? [rewardColumn("reward", "reward")] : []),
    amount("thoughts", "thoughts", { responsive: 2 }),
    amount("tokens", "tokens", { responsive: 2 }),
    ...(stepped ? [{ title: "reward of each thought", field: "steps", formatter: steps, headerSort: false, cssClass: "numbers", responsive: 3 }] : []),
    { title: "text", field: "text", minWidth: 100, cssClass: "text", headerFilter: "input", formatter: textCell },
  ], { data: candidates, maxHeight: "60vh", index: "number" });
}
