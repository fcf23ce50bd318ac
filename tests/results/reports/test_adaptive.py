"""`latent-tts adaptive`: a replay's numbers, counted by hand."""

import json

import pytest
from click.testing import CliRunner

from latent_tts.harness.commands.adaptive import adaptive
from latent_tts.results import ResultsError, collect
from latent_tts.results.reports.adaptive import as_text, replay
from latent_tts.tasks.stopping import read_rule
from tests.results.made import make_pool, write_run

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
