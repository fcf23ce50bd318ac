"""`latent-tts reward-table`: every reward model chooses from the same candidates."""

import pandas as pd
import pytest
import torch
from click.testing import CliRunner

from latent_tts.harness.commands.reward_table import reward_table
from latent_tts.harness.sample import sample_pools
from latent_tts.models import AutoLatentModel, load_tokenizer, sample
from latent_tts.results.reports.rewards import rewards_table
from latent_tts.reward import LatentRewardModel, RewardError
from latent_tts.tasks import pool_metrics, sources

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def heads(tmp_path_factory):
    """Two reward models of the shipped checkpoint whose heads are random."""
    folder = tmp_path_factory.mktemp("heads")
    for seed in (0, 1):
        torch.manual_seed(seed)
        model = LatentRewardModel.from_backbone(AutoLatentModel.from_pretrained("tiny-coconut"))
        model.save_pretrained(folder / str(seed))
    return folder


@pytest.fixture(scope="module")
def made(heads):
    output = heads / "table" / "rewards.csv"
    arguments = ["--reward-model", f"one={heads / '0'}", "--reward-model", str(heads / "1")]
    arguments += ["--output", str(output), "--limit", "6", "--budget", "4", "--budget", "1"]
    done = CliRunner().invoke(
        reward_table, [*arguments, "--noise-std", "1.0"], catch_exceptions=False
    )
    assert done.exit_code == 0, done.output
    return pd.read_csv(output), done.output


def test_all_reward_models_score_samples_that_are_drawn_once(heads, monkeypatch):
    drawn = []

    def watched(*args, **options):
        for trajectory in sample(*args, **options):
            drawn.append((trajectory.question, trajectory.sample))
            yield trajectory

    monkeypatch.setattr("latent_tts.harness.sample.sample", watched)
    arguments = ["--reward-model", str(heads / "0"), "--reward-model", str(heads / "1")]
    arguments += ["--output", str(heads / "once.csv"), "--limit", "3", "--budget", "4"]
    arguments += ["--task", "latent_tts_arith", "--budget", "1"]
    done = CliRunner().invoke(reward_table, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    deterministic = [(question, 0) for question in range(3)]
    every = [(question, number) for question in range(3) for number in range(4)]
    assert sorted(drawn) == sorted(deterministic + every)
    drawn.clear()
    first = (heads / "once.csv").read_bytes()
    searched = "latent_tts.harness.pools.beam_search"
    monkeypatch.setattr(searched, lambda *given: pytest.fail("searched again"))
    done = CliRunner().invoke(reward_table, arguments, catch_exceptions=False)
    assert sorted(drawn) == deterministic  # all else comes from the store beside the table
    assert (heads / "once.csv").read_bytes() == first


def test_every_strategy_is_compared_with_the_vote_on_one_pool(made, heads):
    table, printed = made
    assert len(table) == 2 * 2 * 2 * 6  # tasks, budgets, reward models, strategies
    keys = ["task", "N", "strategy"]
    for _, rows in table[table.strategy.isin(["voting", "coverage", "deterministic"])].groupby(
        keys
    ):
        assert rows.accuracy.nunique() == 1
    vote = table[table.strategy == "voting"].set_index(["task", "N", "reward_model"]).accuracy
    for _, row in table.iterrows():
        expected = row.accuracy - vote[row.task, row.N, row.reward_model]
        assert row.difference == pytest.approx(expected, abs=2e-4)
        assert row.low <= row.difference <= row.high
    assert rewards_table(table) in printed


def test_the_numbers_are_those_of_the_pools(made, heads):
    table, _ = made
    model, tokenizer = (
        AutoLatentModel.from_pretrained("tiny-coconut"),
        load_tokenizer("tiny-coconut"),
    )
    rows = sources.arith()["test"].select(range(6))
    settings = model.settings(
        num_return_sequences=4, num_beams=2, seed=1234, noise_std=1.0, latent_do_sample_by="noise"
    )
    guide = LatentRewardModel.from_pretrained(heads / "0")
    pools = sample_pools(model, tokenizer, rows["question"], settings, reward_model=guide)
    frame = pd.DataFrame(
        pool_metrics(pool, gold) for pool, gold in zip(pools, rows["answer"], strict=True)
    )
    steady = model.settings(latent_do_sample=False)
    pools = sample_pools(model, tokenizer, rows["question"], steady)
    frame["deterministic"] = [
        pool_metrics(pool, gold)["voting@1"]
        for pool, gold in zip(pools, rows["answer"], strict=True)
    ]
    own = table[(table.task == "latent_tts_arith") & (table.N == 4) & (table.reward_model == "one")]
    found = own.set_index("strategy").accuracy
    for strategy, metric in (
        ("voting", "voting@4"),
        ("coverage", "pass@4"),
        ("best_of_n", "best_of_n@4"),
        ("weighted_voting", "weighted_voting@4"),
        ("beam_search", "beam_search"),
        ("deterministic", "deterministic"),
    ):
        assert found[strategy] == pytest.approx(frame[metric].mean(), abs=1e-4)


def test_a_budget_that_is_no_square(heads, tmp_path):
    arguments = ["--reward-model", str(heads / "0"), "--output", str(tmp_path / "x.csv")]
    with pytest.raises(RewardError, match="--budget 8 is no square, such as 4, 16 or 64"):
        reward_table.main([*arguments, "--budget", "8"], standalone_mode=False)
