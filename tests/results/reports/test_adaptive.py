"""`latent-tts adaptive`: a replay's numbers, counted by hand."""

import json
import math
import shutil

import pytest
from click.testing import CliRunner

from latent_tts.harness.commands.adaptive import adaptive
from latent_tts.results import ResultsError, collect
from latent_tts.results.reports.adaptive import replay, together
from latent_tts.results.reports.adaptive_text import as_text
from latent_tts.results.reports.board import board_rows
from latent_tts.results.reports.compare import compare_sides
from latent_tts.results.reports.compare_text import as_text as as_table
from latent_tts.results.runs import build_sides, judge
from latent_tts.results.runs.align import with_equal_pools
from latent_tts.tasks import Pool
from latent_tts.tasks.pools.pool import Stopped
from latent_tts.tasks.stopping import read_rule
from tests.results.made import SETTINGS, make_pool, write_run

ROWS = [
    ("1", make_pool("1", "1", "1", "1", "1", "1")),  # ESC(2) stops after 2, right
    ("1", make_pool("2", "2", "1", "1", "1", "1")),  # after 2, wrong; the full vote is right
    ("1", make_pool("1", "2", "2", "2", "1", "3")),  # after 4, wrong, as the full vote is
    ("1", make_pool(None, None, "1", "2", "1", None)),  # never, right
]


@pytest.fixture
def run(tmp_path):
    (found,), _ = collect([write_run(tmp_path / "run", ROWS).parent.parent])
    return found


def test_samples_and_accuracy_are_those_counted_by_hand(run):
    (found,) = replay(run, [read_rule("esc:window=2")])
    assert (found.samples, found.most, found.stopped) == ((2 + 2 + 4 + 6) / 4, 6, 0.75)
    assert found.saving == pytest.approx(6 / 3.5)
    assert (found.accuracy, found.full) == (2 / 4, 3 / 4)
    assert found.paired.difference == -1 / 4
    assert "1.71×" in as_text([found])


def test_fewer_samples_at_most(run):
    (found,) = replay(run, [read_rule("esc:window=2")], most=3)
    assert (found.samples, found.full) == ((2 + 2 + 3 + 3) / 4, 2 / 4)
    with pytest.raises(ResultsError, match="max = 7 samples cannot be replayed from a pool of 6"):
        replay(run, [read_rule("esc:window=2")], most=7)


def test_tasks_together_are_all_their_questions(run):
    rule = [read_rule("esc:window=2")]
    one, other = replay(run, rule, most=6), replay(run, rule, most=6)
    (both,) = together([one, other])
    assert both.paired.questions == 8
    assert (both.samples, both.accuracy, both.full) == (3.5, 2 / 4, 3 / 4)
    assert both.paired.high - both.paired.low < one[0].paired.high - one[0].paired.low


def stopped_rows():
    """Pools that ESC(2) stopped, of at most 6 samples."""
    told = Stopped(rule="esc:window=2", most=6, least=2)
    counts = (2, 2, 4, 6)
    return [
        (gold, Pool(pool.candidates[:count], stop=told))
        for (gold, pool), count in zip(ROWS, counts, strict=True)
    ]


def test_reports_of_a_stopped_run_name_the_rule_and_refuse_what_is_biased(tmp_path, run):
    write_run(tmp_path / "less", stopped_rows(), settings=SETTINGS | {"stop": "esc:window=2"})
    (own,), _ = collect([tmp_path / "less"])
    sides = build_sides([[run], [own]])
    comparison = compare_sides(sides)
    names = [row.metric for row in comparison.metrics]
    assert "voting@6" in names
    assert not {"pass@4", "pass@6", "coverage@6"} & set(names)
    assert "stop esc:window=2" in as_table(comparison)
    with pytest.raises(ResultsError, match="k = 4 cannot be estimated in less: sampling stopped"):
        judge(own, ks=[4])
    with pytest.raises(ResultsError, match="stopped sampling early itself"):
        replay(own, [read_rule("esc")])
    with pytest.raises(ResultsError, match="no drop can be tested between them"):
        with_equal_pools(own, run)
    new, old = with_equal_pools(own, own)
    assert new.equals(old)
    (row,) = [row for _, row in board_rows([own]).iterrows() if row.metric == "voting@6"]
    assert row.sampler == "noise (stop esc:window=2, 3.5 samples a question)"
    assert row.accuracy == 2 / 4
    assert math.isnan(row.tokens)


def test_random_orders_follow_from_their_seed(run):
    rules = [read_rule("esc:window=2")]
    one, same, other = (replay(run, rules, orders=9, seed=seed) for seed in (1, 1, 2))
    assert one == same
    assert one != other
    assert one[0].orders == 9


def test_the_command_writes_what_it_prints_and_priors_for_bayes(tmp_path, run):
    folder, output, prior = (tmp_path / name for name in ("run", "out.json", "prior.json"))
    done = CliRunner().invoke(adaptive, [str(folder), "--json", str(output)])
    assert done.exit_code == 0, done.output
    rules = [row["rule"] for row in json.loads(output.read_text())]
    assert "adaptive_consistency:threshold=0.95,criterion=beta" in rules
    assert not [rule for rule in rules if rule.startswith("cges")]  # there are no rewards
    assert CliRunner().invoke(adaptive, [str(folder), "--write-prior", str(prior)]).exit_code == 0
    rule = f"bayes:prior={prior}"
    done = CliRunner().invoke(adaptive, [str(folder), "--rule", rule], catch_exceptions=False)
    assert done.exit_code == 0
    assert "4 questions, at most 6 samples each" in done.output


def test_several_runs_are_replayed_together(tmp_path, run):
    again = shutil.copytree(tmp_path / "run", tmp_path / "again")
    words = [str(tmp_path / "run"), str(again), "--rule", "esc:window=2"]
    output = tmp_path / "out.json"
    done = CliRunner().invoke(adaptive, [*words, "--json", str(output)], catch_exceptions=False)
    assert f"{again}: latent_tts_arith, 4 questions" in done.output
    one, two, both = json.loads(output.read_text())
    assert one == two
    assert both["paired"]["questions"] == 8
    assert both["samples"] == pytest.approx(one["samples"])
    assert both["paired"]["difference"] == pytest.approx(one["paired"]["difference"])
