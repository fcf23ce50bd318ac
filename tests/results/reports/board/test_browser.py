"""The leaderboard in a real browser, opened from disk."""

import collections
import json
import math
import re
import shutil

import pytest

from latent_tts.results.reports.board import build_board
from latent_tts.results.reports.board.votes import count_votes
from latent_tts.results.reports.table import plus_minus
from latent_tts.results.statistics import mcnemar, paired_difference
from latent_tts.tasks import Pool, find_strategy
from tests.results.made import edit, log_of
from tests.results.reports.board.random_runs import random_run, rewrite

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
playwright = pytest.importorskip("playwright.sync_api")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH"),
]

# No window, no sandbox (a container's root has none), no requests of the browser's own.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
OWNED = "document.title='owned'"
HOSTILE = f'<script>{OWNED}</script><img src=x onerror="{OWNED}">\' " \\ \u2028'
PHONE = {"width": 390, "height": 844}
NOTE_DRAWING = "table.on('renderStarted', () => { document.body.dataset.redrawn = 'yes'; })"


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    folder = tmp_path_factory.mktemp("board")
    runs = folder / "runs"
    ranked = random_run(runs / "ranked", questions=40, seed=1, skill=0.7, rewards=True, steps=True)
    rewrite(log_of(ranked), lambda index, sample: add_beams(sample))
    edit(ranked, lambda content: content["config"].update(MADE))
    hostile = f"hostile{HOSTILE.replace('/', '')}"
    random_run(runs / hostile, questions=40, seed=2, skill=0.3, text=HOSTILE)
    dropout = {"settings": {"latent_do_sample_by": "dropout"}}
    random_run(runs / "dropout", questions=40, seed=3, skill=0.4, config=dropout)
    greedy = random_run(runs / "greedy", questions=40, samples=1, seed=5)
    # The same golds in another spelling, as a data set on a hub may have them.
    rewrite(log_of(greedy), lambda index, sample: sample.update(target=f"{sample['target']}.0"))
    random_run(runs / "few", questions=3, seed=6, skill=2.0, config={"of": 40})
    hard = {"task": "latent_tts_arith_hard", "date": "2030-01-02T03-04-06.000000"}
    random_run(runs / "ranked", questions=40, seed=4, skill=0.2, config=hard)
    return build_board([runs], folder / "out")


MADE = {"model_args": {"pretrained": "me/tiny", "token": "secret"}, "limit": 40.0}


def add_beams(sample):
    """Give a sample a right and a wrong beam, and its thoughts rewards and nearest tokens."""
    pool = json.loads(sample["resps"][0][0])
    for candidate in pool["candidates"]:
        candidate["nearest"] = [[HOSTILE, "two"]] * candidate["thoughts"]
    answers = (sample["target"], "-1")
    pool["beams"] = [{**pool["candidates"][0], "answer": answer} for answer in answers]
    sample["resps"] = [[json.dumps(pool)]]


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser):
    """Open pages; afterwards nothing may have failed, run from data or left the disk."""
    complaints = []
    contexts = []

    def open_file(path, **options):
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("request", lambda request: complaints.extend(leaves_disk(request.url)))
        page.goto(path.as_uri())
        page.wait_for_selector("body[data-drawn], body[data-ready]")
        return page

    yield open_file
    for context in contexts:
        assert all(page.title() != "owned" for page in context.pages)
        context.close()
    assert not complaints


def leaves_disk(url):
    return [] if re.match(r"(file|data|blob):", url) else [url]


def cells(page, field, table="#table"):
    """The texts of a column's cells."""
    found = page.locator(f'{table} .tabulator-row .tabulator-cell[tabulator-field="{field}"]')
    return [text.strip() for text in found.all_inner_texts()]


def title(page, name):
    return page.locator("#table").get_by_role("columnheader").get_by_text(name, exact=True)


def page_of(board, run, task="latent_tts_arith"):
    rows = board.rows[(board.rows["run"] == run) & (board.rows["task"] == task)]
    return board.folder / "runs" / f"{rows['page'].iloc[0]}.html"


def rows_of(board, task="latent_tts_arith"):
    """The rows of a task that stand in its table at first, but of every strategy."""
    rows = board.rows
    return rows[rows["full"] & rows["comparable"] & (rows["task"] == task)]


def open_board(open_page, board, strategy="", **options):
    page = open_page(board.folder / "index.html", **options)
    page.select_option("#strategy", strategy)
    return page


def tick(page, *indices):
    for index in indices:
        box = page.locator("#table").get_by_role("checkbox").nth(index)
        box.click()
        playwright.expect(box).to_be_checked()


@pytest.mark.parametrize("options", [{}, {"viewport": PHONE, "has_touch": True}])
def test_a_press_is_not_lost_to_a_new_drawing(board, open_page, options):
    """Scrolled into sight, ticked, its curves drawn: the table replaces no row meanwhile."""
    page = open_page(board.folder / "index.html", **options)
    page.evaluate(NOTE_DRAWING)
    tick(page, 0, 1)
    page.wait_for_selector("body[data-drawn='2']")
    page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 500)))")
    assert page.get_attribute("body", "data-redrawn") is None


def test_a_window_that_changes_its_width_draws_the_table_anew(board, open_page):
    page = open_page(board.folder / "index.html", viewport={"width": 1280, "height": 900})
    page.evaluate(NOTE_DRAWING)
    page.set_viewport_size({"width": 1100, "height": 900})
    page.wait_for_selector("body[data-redrawn]")


def test_the_table_shows_the_best_first_and_sorts(board, open_page):
    page = open_board(open_page, board)
    shown = [plus_minus(row.accuracy, row.accuracy_stderr) for row in rows_of(board).itertuples()]
    assert cells(page, "accuracy") == shown
    title(page, "accuracy").click()  # it was descending; the third click is for no order
    title(page, "coverage").click()
    coverage = [float(text.split()[0]) for text in cells(page, "coverage")]
    assert coverage == sorted(coverage, reverse=True)
    title(page, "coverage").press("Enter")
    assert [float(text.split()[0]) for text in cells(page, "coverage")] == coverage[::-1]


def test_one_toolbar_filters_by_task_strategy_n_and_words(board, open_page):
    page = open_page(board.folder / "index.html")
    assert not page.locator(".tabulator-header-filter").count()
    page.select_option("#task", "latent_tts_arith_hard")
    assert set(cells(page, "run")) == {"ranked"}
    page.select_option("#task", "latent_tts_arith")
    # At first the vote's rows, and of runs of one candidate that one.
    assert set(cells(page, "aggregation")) == {"voting", "first"}
    assert len(cells(page, "run")) == len(set(cells(page, "run"))) == 4
    page.select_option("#strategy", "best_of_n")
    assert [text.split("\n")[0] for text in cells(page, "run")] == ["ranked", "greedy"]
    page.select_option("#strategy", "")
    page.select_option("#n", "4")
    assert set(cells(page, "n")) == {"4"}
    page.fill("#search", "DROP vot")
    assert cells(page, "run") == ["dropout"]
    assert page.inner_text("#count") == "1 row"
    page.fill("#search", "ranked")
    page.select_option("#n", "")
    kinds = set(board.rows.loc[board.rows["run"] == "ranked", "aggregation"])
    assert set(cells(page, "aggregation")) == kinds
    assert page.inner_text("#count") == f"{len(cells(page, 'run'))} rows"


def test_the_curves_follow_the_table(board, open_page):
    page = open_board(open_page, board)
    arith = rows_of(board)
    page.wait_for_selector(f"body[data-drawn='{len(arith) - 3}']")  # three have more than one
    assert page.locator("#legend li").count() == len(arith) - 3
    assert page.locator(".charts svg.marks").count() == 3
    before = page.inner_html("#chart-accuracy svg.marks")
    page.fill("#search", "dropout")
    page.wait_for_selector("body[data-drawn='1']")
    assert page.locator("#legend li").all_inner_texts() == ["dropout · voting"]
    assert page.inner_html("#chart-accuracy svg.marks") != before
    page.fill("#search", "")
    page.wait_for_selector(f"body[data-drawn='{len(arith) - 3}']")
    tick(page, 1)
    page.wait_for_selector("body[data-drawn='1']")
    assert page.get_by_text("tokens per question").count()
    page.select_option("#compute", "flops")
    chart = page.locator("#chart-compute svg.marks")
    playwright.expect(chart).to_contain_text("FLOPs per question")


def test_ticks_belong_to_their_task(board, open_page):
    page = open_page(board.folder / "index.html")
    tick(page, 0)
    page.wait_for_selector("body[data-drawn='1']")
    ticked = page.locator("#legend li").all_inner_texts()
    page.select_option("#task", "latent_tts_arith_hard")
    playwright.expect(page.locator("#pair")).to_contain_text("No rows are ticked")
    playwright.expect(page.locator("#legend li")).to_have_text(["ranked · voting"])
    assert not page.locator("#table .tabulator-selected").count()
    assert "hard" not in "".join(ticked)
    points = page.locator("#chart-accuracy svg.marks .mark-symbol path")
    hard = rows_of(board, "latent_tts_arith_hard").query("aggregation == 'voting'").iloc[0]
    text = plus_minus(hard.accuracy, hard.accuracy_stderr)
    assert text in points.last.get_attribute("aria-label")
    page.select_option("#task", "latent_tts_arith")
    assert page.locator("#table .tabulator-selected").count() == 1
    playwright.expect(page.locator("#legend li")).to_have_text(ticked)
    page.get_by_role("button", name="Untick all").click()
    playwright.expect(page.locator("#pair")).to_contain_text("No rows are ticked")


@pytest.mark.parametrize("size", [None, PHONE])
def test_what_is_not_comparable_stands_below_with_its_mark(board, open_page, size):
    page = open_page(board.folder / "index.html", **({"viewport": size} if size else {}))
    assert not any("few" in text for text in cells(page, "run"))
    (below,) = cells(page, "run", "#unlike")
    assert below.splitlines()[0] == "few"
    assert below.splitlines()[-1] == "3 of 40 questions"
    mark = page.get_by_text("3 of 40 questions", exact=True)
    box = mark.bounding_box()
    assert box["x"] + box["width"] <= page.viewport_size["width"]
    assert box["y"] > page.locator("#table").bounding_box()["y"]
    for place in ("#legend", "#models", "#bars"):
        assert "few" not in page.inner_text(place)
    labels = page.locator(".charts .mark-symbol path")
    assert not any("few" in label.get_attribute("aria-label") for label in labels.all())
    page.select_option("#task", "latent_tts_arith_hard")
    playwright.expect(page.locator("#unlike-section")).to_be_hidden()


def test_runs_that_are_all_limited_bear_a_mark_and_are_compared(tmp_path, open_page):
    for seed, name in enumerate(("one", "two")):
        random_run(tmp_path / "runs" / name, questions=20, seed=seed, config={"of": 1319})
    board = build_board([tmp_path / "runs"], tmp_path / "out")
    page = open_page(board.folder / "index.html", viewport=PHONE)
    assert all(text.endswith("20 of 1319 questions") for text in cells(page, "run"))
    assert page.locator("#legend li").count() == 2
    playwright.expect(page.locator("#unlike-section")).to_be_hidden()
    page = open_page(page_of(board, "one"))
    assert "20 of 1319 questions" in page.inner_text("header")


def test_a_model_has_a_row_and_every_task_a_column(board, open_page):
    page = open_page(board.folder / "index.html")
    shown = page.locator("#models .tabulator-row")
    assert shown.count() == 4
    heads = page.locator("#models .tabulator-col-title").all_inner_texts()
    assert heads == ["model", "latent_tts_arith", "latent_tts_arith_hard"]
    both = shown.filter(has_text="ranked").locator("a")
    votes = board.rows.query("run == 'ranked' and aggregation == 'voting' and full")
    assert both.all_inner_texts() == [
        plus_minus(row.accuracy, row.accuracy_stderr) for row in votes.itertuples()
    ]
    assert shown.filter(has_text="dropout").locator("a").count() == 1
    page.fill("#search", "dropout")
    playwright.expect(shown).to_have_count(1)
    page.locator("#models a").click()
    page.wait_for_selector("body[data-ready]")
    assert page.inner_text("h1") == "dropout"


def test_a_bar_says_how_the_votes_of_a_run_ended(board, open_page):
    page = open_page(board.folder / "index.html")
    assert page.locator(".bar").count() == 4
    page.fill("#search", "dropout")
    playwright.expect(page.locator(".bar")).to_have_count(1)
    parts = page.locator(".bar a").all()
    found = [
        re.fullmatch(r"(.+): ([\d.]+)%, (\d+) questions", p.get_attribute("title")) for p in parts
    ]
    counts = {match[1]: int(match[3]) for match in found}
    assert counts == dict(collections.Counter(outcomes_of(board, "dropout")))
    assert [match[2] for match in found] == [f"{count / 0.4:.1f}" for count in counts.values()]
    width = page.locator(".bar").bounding_box()["width"]
    for part, count in zip(parts, counts.values(), strict=True):
        assert part.bounding_box()["width"] == pytest.approx(width * count / 40, abs=1)
    legend = page.locator("section:has(> #bars) .legend strong").all_inner_texts()
    assert legend == ["right", "outvoted", "tied", "never sampled", "unparsed"]
    page.locator(".bar a[title^=outvoted]").click()
    page.wait_for_selector("body[data-ready]")
    assert cells(page, "outcome") == ["outvoted"] * counts["outvoted"]


def samples_of(board, run):
    (log,) = (board.folder.parent / "runs" / run).rglob("samples_latent_tts_arith_2*")
    return [json.loads(line) for line in log.read_text().splitlines()]


def outcomes_of(board, run):
    """How the votes of a run ended, from its log."""
    pools = [(Pool.from_json(s["resps"][0][0]), s["target"]) for s in samples_of(board, run)]
    return [count_votes(pool, gold).outcome for pool, gold in pools]


def test_two_ticked_rows_have_their_paired_difference(board, open_page):
    page = open_page(board.folder / "index.html", viewport={"width": 1280, "height": 900})
    names = [text.split("\n")[0] for text in cells(page, "run")]
    one, other = names.index("ranked"), names.index("dropout")
    a, b = ([s["voting@8"] for s in samples_of(board, run)] for run in ("ranked", "dropout"))
    expected, counts = paired_difference(a, b), mcnemar(a, b)
    tick(page, one, other)
    text = page.inner_text("#pair")
    assert f"A: {names[one]}, voting, N = 8" in text
    number = r"([+−][\d.]+)"
    (found,) = re.findall(rf"A − B: {number} points, 95% interval {number} to {number}, ", text)
    values = [float(part.replace("−", "-")) for part in found]
    ends = (expected.difference, expected.low, expected.high)
    assert values == pytest.approx([100 * end for end in ends], abs=0.0501)
    assert f"Only A is right on {counts.only_a}, only B on {counts.only_b}." in text
    assert "paired over 40 questions" in text
    page.get_by_role("button", name="Untick all").click()
    tick(page, other, one)
    (turned,) = re.findall(
        rf"A − B: {number} points, 95% interval {number} to {number}, ", page.inner_text("#pair")
    )
    turned = [-float(part.replace("−", "-")) for part in turned]
    assert [turned[0], turned[2], turned[1]] == values
    tick(page, 2)
    assert "Tick two" in page.inner_text("#pair")


def test_a_phone_has_ticks_too(board, open_page):
    page = open_page(board.folder / "index.html", viewport=PHONE, has_touch=True)
    tick(page, 0, 1)
    playwright.expect(page.locator("#pair")).to_contain_text("95% interval")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_two_runs_stand_side_by_side_on_a_question(board, open_page):
    page = open_page(board.folder / "index.html")
    names = [text.split("\n")[0] for text in cells(page, "run")]
    tick(page, names.index("ranked"), names.index("dropout"))
    page.get_by_role("link", name="See both question by question").click()
    page.wait_for_selector("body[data-ready='40']")
    assert page.inner_text("h1") == "ranked"
    assert "B: dropout" in page.inner_text("#who")
    ours, theirs = (
        [outcome == "right" for outcome in outcomes_of(board, run)] for run in ("ranked", "dropout")
    )
    for value, text, fits in (
        ("a", "A right, B wrong", lambda a, b: a and not b),
        ("b", "B right, A wrong", lambda a, b: b and not a),
        ("both", "both right", lambda a, b: a and b),
        ("neither", "both wrong", lambda a, b: not a and not b),
    ):
        expected = [f"q{i}" for i, both in enumerate(zip(ours, theirs, strict=True)) if fits(*both)]
        page.select_option("#outcome", value)
        assert cells(page, "id") == expected
        label = page.locator("#outcome option:checked").inner_text()
        assert label == f"{text} ({len(expected)})"
    page.select_option("#outcome", "a")
    page.locator("#table .tabulator-row a").first.click()
    left, right = page.locator("#side"), page.locator("#side-b")
    assert left.bounding_box()["y"] == right.bounding_box()["y"]
    assert (left.locator("h3").first.inner_text(), right.locator("h3").first.inner_text()) == (
        "A: ranked",
        "B: dropout",
    )
    name = int(page.inner_text("#question-id")[1:])
    page.wait_for_selector("#candidates-b .tabulator-row:nth-child(8)")
    for run, place in (("ranked", "#candidates"), ("dropout", "#candidates-b")):
        pool = Pool.from_json(samples_of(board, run)[name]["resps"][0][0])
        assert cells(page, "answer", place)[:8] == [c.answer or "" for c in pool.candidates]
    page.set_viewport_size(PHONE)
    assert right.bounding_box()["y"] > left.bounding_box()["y"] + left.bounding_box()["height"] - 1


def test_sides_are_right_by_the_strategies_that_were_ticked(board, open_page):
    path = page_of(board, "ranked")
    page = open_page(path)
    page.goto(f"{path.as_uri()}?beside={page_of(board, 'greedy').stem}&a=best_of_n&b=first")
    page.wait_for_selector("body[data-ready='40']")
    assert page.input_value("#judge-a") == "best_of_n"
    best = [s["best_of_n@8"] for s in samples_of(board, "ranked")]
    greedy = [s["pass@1"] for s in samples_of(board, "greedy")]
    page.select_option("#outcome", "a")
    expected = [f"q{i}" for i, both in enumerate(zip(best, greedy, strict=True)) if both == (1, 0)]
    assert cells(page, "id") == expected


def test_an_address_loads_no_script_but_a_runs_own(board, open_page):
    path = page_of(board, "ranked")
    (board.folder / "evil.js").write_text(f"{OWNED};runPage.questions('x')")
    page = open_page(path)
    for name in ("../evil", "..%2Fevil", "https://example.org/x", "none", "__proto__"):
        page.goto(f"{path.as_uri()}?beside={name}&vote=%3Cimg%3E&a=__proto__")
        page.wait_for_selector("body[data-ready='40']")
        assert page.input_value("#beside") == ""
    (board.folder / "evil.js").unlink()


def test_a_run_says_what_made_it(board, open_page):
    page = open_page(page_of(board, "ranked"))
    page.get_by_text("What made this run").click()
    facts = dict(
        zip(page.locator("dt").all_inner_texts(), page.locator("dd").all_inner_texts(), strict=True)
    )
    assert facts["revision"] == "main"
    assert facts["prompt format"] == "{question}"
    (label,) = [name for name in facts if name.startswith("command line")]
    assert "rebuilt" in label
    assert facts[label] == (
        "lm_eval --model latent_tts --model_args 'pretrained=me/tiny,token=…' "
        "--tasks latent_tts_arith --limit 40"
    )


def test_a_table_that_scrolls_says_so_until_its_end(board, open_page):
    page = open_page(board.folder / "index.html", viewport={"width": 900, "height": 900})
    hint = page.locator("#table + .more")
    assert "sideways" in hint.inner_text()
    table = page.locator("#table")
    playwright.expect(table).to_have_class(re.compile("more-right"))
    page.eval_on_selector("#table .tabulator-tableholder", "e => e.scrollTo(99999, 0)")
    playwright.expect(table).not_to_have_class(re.compile("more-right"))
    assert page.locator("#models + .more").inner_text() == ""  # all of it is there
    page = open_page(page_of(board, "ranked"), viewport=PHONE)
    playwright.expect(page.locator(".edge + .more")).to_contain_text("sideways")
    playwright.expect(page.locator("#table + .more")).to_contain_text("down for more rows")


def test_a_number_is_rounded_once_for_all_pages(tmp_path, open_page):
    results = random_run(tmp_path / "runs" / "one", questions=40)

    def change(content):
        content["results"]["latent_tts_arith"].update({"voting@8,none": 0.4825})

    edit(results, change)
    board = build_board([tmp_path / "runs"], tmp_path / "out")
    page = open_page(board.folder / "index.html")
    (shown,) = cells(page, "accuracy")
    assert shown.startswith("48.3 ± ")
    tooltip = page.locator("#chart-accuracy .mark-symbol path").last.get_attribute("aria-label")
    assert f"accuracy, % ± stderr: {shown};" in tooltip
    assert f"| {shown} |" in (board.folder / "leaderboard.md").read_text()
    assert (
        f"accuracy, % ± stderr: {shown};"
        in (board.folder / "curves_latent_tts_arith.svg").read_text()
    )
    page = open_page(page_of(board, "one"))
    assert shown in page.inner_text("#numbers")


def test_every_line_of_the_chart_has_its_points(board, open_page):
    page = open_board(open_page, board)
    page.fill("#search", "dropout")
    page.wait_for_selector("body[data-drawn='1']")
    points = page.locator("#chart-accuracy svg.marks .mark-symbol path")
    numbers = [
        re.search(
            r"N: (\d+);.*accuracy, % ± stderr: ([\d.]+) ± ", point.get_attribute("aria-label")
        ).groups()
        for point in points.all()
    ]
    rows = board.rows[(board.rows["run"] == "dropout") & (board.rows["aggregation"] == "voting")]
    expected = {row.n: pytest.approx(100 * row.accuracy, abs=0.0501) for row in rows.itertuples()}
    assert {int(n): float(accuracy) for n, accuracy in numbers} == expected


def test_a_run_opens_and_a_question_is_found(board, open_page):
    page = open_page(board.folder / "index.html")
    page.get_by_role("link", name="ranked").first.click()
    page.wait_for_selector("body[data-ready='40']")
    assert page.inner_text("h1") == "ranked"
    page.fill("#search", "SHARE 17 EGGS")
    assert cells(page, "id") == ["q17"]
    page.get_by_role("link", name="q17").click()
    dialog = page.get_by_role("dialog")
    (log,) = (board.folder.parent / "runs" / "ranked").rglob("samples_latent_tts_arith_2*")
    sample = json.loads(log.read_text().splitlines()[17])
    pool = Pool.from_json(sample["resps"][0][0])
    candidates = pool.candidates
    assert "share 17 eggs" in dialog.inner_text()
    page.wait_for_selector("#candidates .tabulator-row:nth-child(8)")
    shown = cells(page, "answer", "#candidates")
    assert shown == [*(c.answer or "" for c in candidates), sample["target"], "-1"]
    rewards = [float(text) for text in cells(page, "reward", "#candidates")][:8]
    assert rewards == pytest.approx([c.reward for c in candidates], abs=1e-3)
    votes = dict(zip(cells(page, "answer", "#votes"), cells(page, "votes", "#votes"), strict=True))
    given = [candidate.answer or "no answer" for candidate in candidates]
    assert votes == {answer: str(given.count(answer)) for answer in given}
    assert cells(page, "right", "#candidates")[8:] == ["✓ right", "✗ wrong"]
    assert all(len(text.split()) == 6 for text in cells(page, "steps", "#candidates"))
    for text in cells(page, "nearest", "#candidates")[:8]:  # a line for each thought
        assert [line[-5:] for line in text.split("\n") if "two" in line] == ['"two"'] * 6
        assert text.count(f'"<script>{OWNED}</script>') == 6
    chosen = cells(page, "chosen", "#candidates")
    for name in ("voting", "best_of_n"):
        index = next(i for i, c in enumerate(candidates) if c is find_strategy(name).pick(pool))
        assert name in chosen[index].split(", ")
    assert chosen[8:] == ["beam_search", ""]
    weights = [text for text in cells(page, "weight", "#votes") if text != "–"]
    heaviest = max(candidate.reward for candidate in candidates)
    numbers = [math.exp(c.reward - heaviest) for c in candidates if c.answer]
    assert sum(map(float, weights)) == pytest.approx(sum(numbers), abs=1e-2)
    assert "exp(its candidate's reward)" in page.inner_text("#weight")
    marked = dict(
        zip(cells(page, "answer", "#votes"), cells(page, "chosen", "#votes"), strict=True)
    )
    assert "weighted_voting" in marked[find_strategy("weighted").pick(pool).answer]
    page.keyboard.press("Escape")
    playwright.expect(dialog).to_be_hidden()
    page.wait_for_url(lambda url: "#" not in url)


def test_failed_votes_are_listed_and_turned_over(board, open_page):
    page = open_page(page_of(board, "dropout"))
    page.select_option("#outcome", "outvoted")
    names = cells(page, "id")
    assert set(cells(page, "outcome")) == {"outvoted"}
    assert 2 <= len(names) < 40
    page.get_by_role("link", name=names[0], exact=True).click()
    assert page.inner_text("#question-id") == names[0]
    assert "a wrong answer had more votes" in page.inner_text("#verdict")
    page.get_by_label("next question").click()
    page.wait_for_function(f"document.querySelector('#question-id').textContent == '{names[1]}'")
    page.go_back()
    page.wait_for_function(f"document.querySelector('#question-id').textContent == '{names[0]}'")


def test_a_question_has_an_address(board, open_page):
    path = page_of(board, "dropout")
    page = open_page(path)
    page.goto(f"{path.as_uri()}#5")
    page.wait_for_selector("dialog[open]")
    assert page.inner_text("#question-id") == "q5"


def test_text_of_a_run_is_shown_and_never_run(board, open_page):
    hostile = next(name for name in board.rows["run"] if name.startswith("hostile"))
    page = open_page(board.folder / "index.html")
    assert hostile.strip() in cells(page, "run")
    names = cells(page, "run")
    tick(page, names.index(hostile.strip()), names.index("dropout"))
    assert hostile.strip() in page.inner_text("#pair")
    page.get_by_role("link", name="See both question by question").click()
    page.wait_for_selector("body[data-ready='40']")
    assert hostile.strip() in page.inner_text("#who")
    page = open_page(page_of(board, hostile))
    assert page.inner_text("h1").strip() == hostile.strip()
    page.fill("#search", "onerror")
    page.get_by_role("link", name="q3", exact=True).click()
    page.wait_for_selector("#candidates .tabulator-row:nth-child(8)")
    assert HOSTILE.rstrip("\u2028 ") in page.inner_text("#question-text")
    assert OWNED in cells(page, "text", "#candidates")[0]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_ink_stands_out_from_paper_in_light_and_dark(board, open_page, scheme):
    page = open_page(board.folder / "index.html", color_scheme=scheme)
    for place in ("body", "#table .tabulator-row", "#table .tabulator-col", ".toolbar select"):
        ink, paper = page.eval_on_selector(
            place, "e => [getComputedStyle(e).color, getComputedStyle(e).backgroundColor]"
        )
        assert contrast(ink, paper) >= 7, place
        assert (luminance(paper) > 0.5) == (scheme == "light"), place


def luminance(colour):
    """Relative luminance by WCAG 2.1."""
    channels = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    dark, bright = sorted([luminance(one), luminance(other)])
    return (bright + 0.05) / (dark + 0.05)


def test_a_phone_shows_the_essentials_without_scrolling_sideways(board, open_page):
    page = open_page(board.folder / "index.html", viewport=PHONE, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    box = page.locator('.tabulator-cell[tabulator-field="accuracy"]').first.bounding_box()
    assert box["x"] + box["width"] <= PHONE["width"]
    page = open_page(page_of(board, "ranked"), viewport=PHONE, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
