"""The leaderboard in a real browser, opened from disk."""

import json
import math
import re
import shutil

import pytest

from latent_tts.results.reports.board import build_board
from latent_tts.tasks import Pool, find_strategy
from tests.results.made import log_of
from tests.results.reports.board.random_runs import random_run, rewrite

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
playwright = pytest.importorskip("playwright.sync_api")
pytestmark = [
    pytest.mark.browser,
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


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    folder = tmp_path_factory.mktemp("board")
    runs = folder / "runs"
    ranked = random_run(runs / "ranked", questions=40, seed=1, skill=0.7, rewards=True, steps=True)
    rewrite(log_of(ranked), lambda place, sample: add_beams(sample))
    hostile = f"hostile{HOSTILE.replace('/', '')}"
    random_run(runs / hostile, questions=40, seed=2, skill=0.3, text=HOSTILE)
    dropout = {"settings": {"latent_do_sample_by": "dropout"}}
    random_run(runs / "dropout", questions=40, seed=3, config=dropout)
    hard = {"task": "latent_tts_arith_hard", "date": "2030-01-02T03-04-06.000000"}
    random_run(runs / "ranked", questions=40, seed=4, skill=0.2, config=hard)
    return build_board([runs], folder / "out")


def add_beams(sample):
    """Give a sample a right and a wrong beam, with rewards for their thoughts."""
    pool = json.loads(sample["resps"][0][0])
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
    return page.get_by_role("columnheader").get_by_text(name, exact=True)


def page_of(board, run, task="latent_tts_arith"):
    rows = board.rows[(board.rows["run"] == run) & (board.rows["task"] == task)]
    return board.folder / "runs" / f"{rows['page'].iloc[0]}.html"


def test_the_table_shows_the_best_first_and_sorts(board, open_page):
    page = open_page(board.folder / "index.html")
    whole = board.rows[(board.rows["full"]) & (board.rows["task"] == "latent_tts_arith")]
    shown = [f"{100 * r.accuracy:.1f} ± {100 * r.accuracy_stderr:.1f}" for r in whole.itertuples()]
    assert cells(page, "accuracy") == shown
    title(page, "accuracy").click()  # it was descending; the third click is for no order
    title(page, "coverage").click()
    coverage = [float(text.split()[0]) for text in cells(page, "coverage")]
    assert coverage == sorted(coverage, reverse=True)
    title(page, "coverage").press("Enter")
    assert [float(text.split()[0]) for text in cells(page, "coverage")] == coverage[::-1]


def test_the_table_filters_by_task_n_and_words(board, open_page):
    page = open_page(board.folder / "index.html")
    page.select_option("#task", "latent_tts_arith_hard")
    assert set(cells(page, "run")) == {"ranked"}
    page.select_option("#task", "latent_tts_arith")
    page.select_option("#n", "4")
    assert set(cells(page, "n")) == {"4"}
    page.fill("#search", "DROP vot")
    assert cells(page, "run") == ["dropout"]
    assert page.inner_text("#count") == "1 rows"
    page.fill("#search", "")
    page.select_option("#n", "")
    page.get_by_role("columnheader", name="run").get_by_placeholder("filter").press_sequentially(
        "ranked"
    )
    page.wait_for_function("!document.querySelector('#table').innerText.includes('dropout')")
    assert set(cells(page, "run")) == {"ranked"}
    kinds = set(board.rows.loc[board.rows["run"] == "ranked", "aggregation"])
    assert set(cells(page, "aggregation")) == kinds
    assert page.inner_text("#count") == f"{len(cells(page, 'run'))} rows"


def test_the_curves_follow_the_table(board, open_page):
    page = open_page(board.folder / "index.html")
    drawn = page.locator("#legend li").count()
    arith = board.rows[board.rows["task"] == "latent_tts_arith"]
    lines = arith[["run", "aggregation"]].drop_duplicates()
    assert drawn == len(lines[lines["aggregation"] != "first"])
    assert page.locator(".charts svg.marks").count() == 3
    before = page.inner_html("#chart-accuracy svg.marks")
    page.fill("#search", "dropout")
    page.wait_for_selector("body[data-drawn='1']")
    assert page.locator("#legend li").all_inner_texts() == ["dropout · voting"]
    assert page.inner_html("#chart-accuracy svg.marks") != before
    page.fill("#search", "")
    page.wait_for_selector(f"body[data-drawn='{drawn}']")
    page.get_by_role("checkbox").nth(1).check()
    page.wait_for_selector("body[data-drawn='1']")
    assert page.get_by_text("tokens per question").count()
    page.select_option("#compute", "flops")
    chart = page.locator("#chart-compute svg.marks")
    playwright.expect(chart).to_contain_text("FLOPs per question")


def test_every_line_of_the_chart_has_its_points(board, open_page):
    page = open_page(board.folder / "index.html")
    page.fill("#search", "dropout")
    page.wait_for_selector("body[data-drawn='1']")
    points = page.locator("#chart-accuracy svg.marks .mark-symbol path")
    numbers = [
        re.search(r"N: (\d+);.*accuracy, %: ([\d.]+)", point.get_attribute("aria-label")).groups()
        for point in points.all()
    ]
    rows = board.rows[(board.rows["run"] == "dropout") & (board.rows["aggregation"] == "voting")]
    expected = {row.n: pytest.approx(100 * row.accuracy) for row in rows.itertuples()}
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
    chosen = cells(page, "chosen", "#candidates")
    for name in ("voting", "best_of_n"):
        place = next(i for i, c in enumerate(candidates) if c is find_strategy(name).pick(pool))
        assert name in chosen[place].split(", ")
    assert chosen[8:] == ["beam_search", ""]
    weights = [text for text in cells(page, "weight", "#votes") if text != "–"]
    heaviest = max(candidate.reward for candidate in candidates)
    numbers = [math.exp(c.reward - heaviest) for c in candidates if c.answer]
    assert sum(map(float, weights)) == pytest.approx(sum(numbers), abs=1e-2)
    marked = dict(
        zip(cells(page, "answer", "#votes"), cells(page, "chosen", "#votes"), strict=True)
    )
    assert "weighted_voting" in marked[find_strategy("weighted").pick(pool).answer]
    page.keyboard.press("Escape")
    playwright.expect(dialog).to_be_hidden()
    assert "#" not in page.url


def test_failed_votes_are_listed_and_turned_over(board, open_page):
    page = open_page(page_of(board, "dropout"))
    page.select_option("#outcome", "outvoted")
    names = cells(page, "id")
    assert set(cells(page, "outcome")) == {"outvoted"}
    assert 2 <= len(names) < 40
    page.get_by_role("link", name=names[0], exact=True).click()
    assert page.inner_text("#question-id") == names[0]
    assert "a wrong answer had more votes" in page.inner_text("#question-verdict")
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
