// The question that is open: its votes and candidates, of one run or of two beside each other.
"use strict";

const mark = (value) => {
  if (value === null) return textElement("span", "–");
  return textElement("span", value ? "✓ right" : "✗ wrong", value ? "good" : "bad");
};
const at = (column, place) => (Array.isArray(column) ? column[place] : column);

let openTables = [];
function openQuestion(sides, row) {
  byId("question-id").textContent = row.id;
  byId("question-text").textContent = row.question;
  byId("side-b").hidden = sides.length < 2;
  byId("name").hidden = sides.length < 2;
  byId("name-b").hidden = sides.length < 2;
  if (!byId("question").open) byId("question").showModal();
  byId("question").scrollTop = 0;
  openTables.forEach((table) => table.destroy());
  openTables = showSide(sides[0], row, "");
  if (sides.length > 1) openTables.push(...showSide(sides[1], row.other, "-b"));
}

// Fill a side of the dialog; `row` is null where its run was not asked this question.
function showSide(side, row, end) {
  byId(`name${end}`).textContent = side.title;
  byId(`weight${end}`).hidden = true;
  if (!row) {
    byId(`verdict${end}`).textContent = "This run was not asked this question.";
    return [];
  }
  const pool = JSON.parse(side.pools[row.place]);
  const candidates = candidateRows(pool, row.n);
  byId(`weight${end}`).hidden = !pool.reward;
  byId(`verdict${end}`).replaceChildren(
    textElement("strong", row.outcome, row.outcome === "right" ? "good" : "bad"),
    `: ${OUTCOMES[row.outcome]}. Gold ${row.gold}, voted ${row.voted ?? "nothing"} with ${row.votes} of ${row.n} votes; ` +
    `${row.right} of ${row.n} candidates are right.`);
  return [showVotes(pool, candidates, row, `#votes${end}`), showCandidates(candidates, `#candidates${end}`)];
}

function candidateRows(pool, count) {
  const rows = Array.from({ length: count }, (_, place) => {
    const [text, answer] = pool.texts[at(pool.text, place)];
    const vote = at(pool.vote, place);
    return {
      number: place + 1, text, answer, vote, right: vote < 0 ? null : Boolean(pool.right[vote]),
      reward: pool.reward?.[place] ?? null, steps: pool.steps?.[place] ?? null, nearest: pool.nearest?.[place] ?? null,
      thoughts: at(pool.thoughts, place), tokens: at(pool.tokens, place),
      truncated: Boolean(at(pool.truncated, place)),
    };
  });
  const beams = (pool.beams ?? []).map(([text, answer, thoughts, tokens, truncated, reward, right, steps], place) => ({
    number: `beam ${place + 1}`, text, answer, vote: null, right, reward, steps, nearest: null,
    thoughts, tokens, truncated: Boolean(truncated),
  }));
  const all = [...rows, ...beams];
  all.forEach((candidate, place) => { candidate.chosen = chosenBy(pool, 0, place); });
  return all;
}

// The strategies that chose a candidate (part 0) or an answer (part 1).
const chosenBy = (pool, part, place) =>
  Object.keys(pool.chosen).filter((name) => pool.chosen[name][part] === place).join(", ");
const chosenColumn = { title: "chosen by", field: "chosen", sorter: "string", responsive: 1 };

const rounded = (value) => (value === null ? "–" : value.toFixed(3));
const rewardColumn = (title, field) => amount(title, field, {
  formatter: (cell) => rounded(cell.getValue()), headerSortStartingDir: "desc",
});

function showVotes(pool, candidates, row, place) {
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
  return makeTable(place, [
    ...(onPhone ? [opener] : []),
    { title: "answer", field: "answer", sorter: "alphanum" },
    { title: "verdict", field: "right", formatter: (cell) => mark(cell.getValue()), headerSort: false },
    amount("votes", "votes", { headerSortStartingDir: "desc" }),
    chosenColumn,
    ...(pool.reward ? [rewardColumn("weight", "weight"), rewardColumn("best reward", "best"), rewardColumn("mean reward", "mean")] : []),
    { title: "share", field: "share", formatter: "progress", formatterParams: { color: "var(--accent)" }, minWidth: 60, headerSort: false, responsive: 0 },
  ], { data: rows, maxHeight: "40vh" });
}

function showCandidates(candidates, place) {
  const rewarded = candidates.some((candidate) => candidate.reward !== null);
  const stepped = candidates.some((candidate) => candidate.steps !== null);
  const named = candidates.some((candidate) => candidate.nearest !== null);
  const steps = (cell) => (cell.getValue() ?? []).map((step) => (step === null ? "–" : step.toFixed(2))).join("  ");
  // A line for each thought: its nearest tokens, as text, so that a line break is seen as one.
  const nearest = (cell) => {
    const element = textElement("span", "");
    (cell.getValue() ?? []).forEach((tokens) => {
      element.append(textElement("div", tokens.map((token) => JSON.stringify(token)).join(" ")));
    });
    return element;
  };
  const textCell = (cell) => {
    const element = textElement("span", cell.getValue());
    if (cell.getData().truncated) element.append(textElement("em", " (cut off)", "bad"));
    return element;
  };
  return makeTable(place, [
    ...(onPhone ? [opener] : []),
    { title: "#", field: "number", sorter: "alphanum", hozAlign: "right" },
    { title: "answer", field: "answer", sorter: "alphanum", hozAlign: "right" },
    { title: "verdict", field: "right", formatter: (cell) => mark(cell.getValue()), headerSort: false },
    chosenColumn,
    ...(rewarded ? [rewardColumn("reward", "reward")] : []),
    amount("thoughts", "thoughts", { responsive: 2 }),
    amount("tokens", "tokens", { responsive: 2 }),
    ...(stepped ? [{ title: "reward of each thought", field: "steps", formatter: steps, headerSort: false, cssClass: "numbers", responsive: 3 }] : []),
    ...(named ? [{ title: "nearest tokens of each thought", field: "nearest", formatter: nearest, headerSort: false, cssClass: "text", responsive: 3 }] : []),
    { title: "text", field: "text", minWidth: 100, cssClass: "text", formatter: textCell },
  ], { data: candidates, maxHeight: "60vh", index: "number" });
}
