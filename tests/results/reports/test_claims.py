"""`latent-tts claims`: p and verdicts against scipy, and files that cannot be used."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner
from scipy.stats import permutation_test

from latent_tts.harness.commands.claims import claims
from latent_tts.results import ResultsError
from tests.results.made import edit, make_pool, write_run

ROOT = Path(__file__).parents[3]
GOLDS = [str(index) for index in range(1, 11)]
GOOD = [[gold, gold, gold, "0"] for gold in GOLDS[:9]] + [["0", "0", "0", "0"]]
BAD = [["0", "0", "0", gold] for gold in GOLDS]
FILE = {
    "runs": {"good": "good", "bad": "bad"},
    "claims": [
        {
            "says": "Good | better.",
            "a": {"run": "good", "metric": "voting"},
            "b": {"run": "bad", "metric": "voting"},
        },
        {
            "says": "Good covers less.",
            "a": {"run": "good", "metric": "coverage@4"},
            "b": {"run": "bad", "metric": "pass@4"},
            "expects": "lower",
        },
        {
            "says": "More samples cover less.",
            "a": {"run": "bad", "metric": "pass@3"},
            "b": {"run": "bad", "metric": "pass@1"},
            "expects": "lower",
        },
    ],
}


@pytest.fixture
def folder(tmp_path):
    for name, answers in (("good", GOOD), ("bad", BAD)):
        write_run(
            tmp_path / name,
            [(gold, make_pool(*own)) for gold, own in zip(GOLDS, answers, strict=True)],
        )
    return tmp_path


def write(folder, **changes):
    (folder / "claims.yaml").write_text(yaml.safe_dump(FILE | changes))
    return folder / "claims.yaml"


def test_claims_are_tested_exactly_and_together(folder):
    done = CliRunner().invoke(
        claims, [str(write(folder)), "--output", str(folder / "out")], catch_exceptions=False
    )
    assert done.exit_code == 0, done.output
    table = pd.read_csv(folder / "out" / "claims.csv")
    right = np.array([1.0] * 9 + [0.0])
    pairs = [(right, np.zeros(10)), (right, np.ones(10)), (np.full(10, 0.75), np.full(10, 0.25))]
    alone = [
        permutation_test(
            pair, lambda a, b: np.mean(a - b), permutation_type="samples", n_resamples=np.inf
        ).pvalue
        for pair in pairs
    ]
    assert alone == pytest.approx([2 / 2**9, 1.0, 2 / 2**10])
    assert table["p"].tolist() == pytest.approx([4 / 2**9, 1.0, 6 / 2**10])  # Holm, by hand
    assert table["difference"].tolist() == pytest.approx([0.9, -0.1, 0.5])
    assert table["verdict"].tolist() == ["holds", "not shown", "the opposite holds"]
    page = (folder / "out" / "claims.md").read_text()
    assert page.startswith("# Claims, tested\n")
    assert "3 tests: 1 holds, 1 the opposite holds, 1 not shown." in page
    assert "Good \\| better." in page
    assert (folder / "out" / "latent_tts_arith.png").read_bytes()[:4] == b"\x89PNG"


def test_the_page_says_what_the_file_says_and_shows_the_runs_it_names(folder):
    file = write(folder, title="A title", about="Some *words*.", board=["good"])
    CliRunner().invoke(claims, [str(file), "--output", str(folder / "out")], catch_exceptions=False)
    page = (folder / "out" / "claims.md").read_text()
    board = (folder / "out" / "board.md").read_text()
    assert page.startswith("# A title\n\nSome *words*.\n\n## The claims\n")
    assert f"## The board\n\n{board}" in page
    assert "![latent_tts_arith](latent_tts_arith.svg)" in page
    assert [line.split(" | ")[1] for line in board.splitlines()[2:]] == ["good"]


@pytest.mark.slow
def test_the_committed_page_is_what_the_committed_runs_say(tmp_path):
    file, page = ROOT / "results" / "baselines" / "board-claims.yaml", ROOT / "docs" / "claims"
    options = ["--runs", str(ROOT / "results" / "board"), "--output", str(tmp_path / "out")]
    CliRunner().invoke(claims, [str(file), *options], catch_exceptions=False)
    for name in ("claims.csv", "board.md"):  # distances and planes need the store
        assert (tmp_path / "out" / name).read_text() == (page / name).read_text()
    committed = (page / "claims.md").read_text()
    ours = (tmp_path / "out" / "claims.md").read_text()
    assert committed.startswith(ours.partition("\n![")[0].rstrip())


BAD_FILES = {
    "no such run on the board": (
        {"board": ["gut"]},
        "board names the run 'gut'; the file has",
    ),
    "no such run": ({"runs": {"good": "good"}}, "'bad'; the file has good"),
    "no claims": ({"claims": []}, "makes no claim"),
    "no list": ({"claims": 5}, "is no file of claims"),
    "unknown word": ({"clams": []}, "is no file of claims"),
    "no folder": ({"runs": {"good": "good", "bad": "nowhere"}}, "There is no"),
    "no metric": (
        {"claims": [FILE["claims"][0] | {"a": {"run": "good", "metric": "votng"}}]},
        "no metric 'votng'",
    ),
    "no task": ({"claims": [FILE["claims"][0] | {"tasks": ["other"]}]}, "have not both run other"),
    "large k": (
        {"claims": [FILE["claims"][0] | {"a": {"run": "good", "metric": "voting@9"}}]},
        "k = 9 is larger than the pool",
    ),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_what_cannot_be_tested_is_named_and_nothing_is_written(folder, case):
    changes, message = BAD_FILES[case]
    with pytest.raises(ResultsError, match=message):
        CliRunner().invoke(
            claims,
            [str(write(folder, **changes)), "--output", str(folder / "out")],
            catch_exceptions=False,
        )
    assert not (folder / "out").exists()


def dearer(folder, factor):
    """Give the run `bad` so many times the parameters."""

    def change(content):
        content["config"]["model_num_parameters"] *= factor

    (file,) = (folder / "bad").rglob("results_*.json")
    edit(file, change)


@pytest.mark.parametrize(
    ("equal", "factor", "ks"),
    [("samples", 3, (4, 4)), ("flops", 1, (4, 4)), ("flops", 3, (4, 1)), ("flops", 2, (4, 2))],
)
def test_at_equal_cost_k_follows_from_what_both_spend(folder, equal, factor, ks):
    """Of 4 candidates each, all of as many tokens."""
    dearer(folder, factor)
    claim = {**FILE["claims"][0], "equal": equal}
    (folder / "elsewhere").mkdir()
    file = write(folder / "elsewhere", claims=[claim])
    options = ["--runs", str(folder), "--output", str(folder / "out")]
    CliRunner().invoke(claims, [str(file), *options], catch_exceptions=False)
    table = pd.read_csv(folder / "out" / "claims.csv")
    assert table[["a", "b"]].values.tolist() == [[f"good: voting@{ks[0]}", f"bad: voting@{ks[1]}"]]
    vote = {4: 0.0, 2: 0.0, 1: 0.25}  # the last of four is right, and ties go to the earlier
    assert table["b_mean"].tolist() == pytest.approx([vote[ks[1]]])


def test_costs_that_are_not_known(folder):
    dearer(folder, 0)
    for changes, message in (
        ({"equal": "flops"}, "does not say what a candidate costs"),
        ({"equal": "flops", "a": {"run": "good", "metric": "voting@2"}}, "voting@2 with equal: fl"),
    ):
        file = write(folder, claims=[{**FILE["claims"][0], **changes}])
        with pytest.raises(ResultsError, match=message):
            CliRunner().invoke(
                claims, [str(file), "--output", str(folder / "out")], catch_exceptions=False
            )
