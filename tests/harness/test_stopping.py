"""`stop=`: the engine draws what a replay on full pools spends, and says nothing biased."""

import pytest

from latent_tts.harness.lm import LatentLM
from latent_tts.harness.sample import sample_pools
from latent_tts.harness.stopping import Stop, read_stop
from latent_tts.harness.stores import Stores
from latent_tts.models import ModelError
from latent_tts.tasks import TaskError, pool_metrics
from latent_tts.tasks.stopping import first_of, read_rule, spent
from tests.harness.evaluation import evaluate, make_request, pools
from tests.harness.test_store import QUESTIONS, loaded, reads, sampled, settings_of  # noqa: F401

RULES = ("adaptive_consistency:threshold=0.7", "esc:window=2", "bayes:threshold=0.6")


def stopped(loaded, rule, **given):  # noqa: F811
    settings = settings_of(loaded[0], num_return_sequences=12, **given)
    return sample_pools(*loaded, QUESTIONS, settings, stop=Stop(read_rule(rule)))


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES)
def test_the_engine_draws_what_a_replay_spends_to_the_last_sample(loaded, rule):  # noqa: F811
    full = sampled(loaded, None, num_return_sequences=12)
    found = stopped(loaded, rule)
    counts = [spent(read_rule(rule), pool, most=12) for pool in full]
    assert [len(pool.candidates) for pool in found] == counts
    assert [pool.candidates for pool in found] == [
        first_of(pool, count).candidates for pool, count in zip(full, counts, strict=True)
    ]


@pytest.mark.slow
def test_a_store_of_all_samples_spares_the_model(loaded, reads, tmp_path):  # noqa: F811
    sampled(loaded, tmp_path, num_return_sequences=12)
    reads.clear()
    settings = settings_of(loaded[0], num_return_sequences=12)
    kept = Stores(tmp_path, loaded[0], None, keep_thoughts=False).of(settings, questions=6)
    stop = Stop(read_rule(RULES[0]))
    found = sample_pools(*loaded, QUESTIONS, settings, stop=stop, kept=kept)
    assert reads == []
    assert found == stopped(loaded, RULES[0])


@pytest.mark.slow
def test_an_evaluation_reports_votes_and_samples_and_nothing_biased(checkpoints, data):
    settings = {"num_return_sequences": 8, "latent_do_sample_by": "noise", "noise_std": 1.0}
    full = evaluate(checkpoints["coconut"], data, model_args=settings)
    settings |= {"stop": "esc", "stop_window": 2}
    found = evaluate(checkpoints["coconut"], data, model_args=settings)
    counts = [spent(read_rule("esc:window=2"), pool, most=8) for pool in pools(full)]
    assert [len(pool.candidates) for pool in pools(found)] == counts
    numbers = found["results"]["latent_tts_gsm8k"]
    assert numbers["samples,none"] == pytest.approx(sum(counts) / len(counts))
    assert {"voting@8,none", "pass@1,none", "pass@2,none"} <= numbers.keys()
    assert not {"pass@4,none", "pass@8,none", "coverage@8,none"} & numbers.keys()
    recorded = found["config"]["latent_tts"]["tasks"]["latent_tts_gsm8k"]
    assert recorded["settings"]["stop"] == "esc:window=2"
    assert recorded["throughput"]["samples"] == sum(counts)


@pytest.mark.slow
def test_metrics_of_the_first_samples_are_those_of_a_run_of_so_many(loaded):  # noqa: F811
    for whole, pool in zip(
        sampled(loaded, None, num_return_sequences=2), stopped(loaded, "esc:window=2"), strict=True
    ):
        gold = "5"
        few, own = pool_metrics(whole, gold), pool_metrics(pool, gold)
        for name in ("pass@1", "pass@2", "voting@2", "thoughts", "truncated"):
            assert own[name] == few[name]
        assert own["samples"] == len(pool.candidates)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"stop": "cges"}, ModelError, "stop=cges needs rewards"),
        ({"stop_threshold": 0.9}, ModelError, "stop_threshold without stop="),
        ({"stop": "esc", "stop_threshold": 0.9}, TaskError, "esc has no parameter 'threshold'"),
        ({"stop": ["\n"]}, TaskError, "Allowed are: adaptive_consistency, esc, cges, bayes"),
        ({"stop": "asc"}, TaskError, "No stopping rule is called 'asc'"),
    ],
)
def test_what_cannot_stop_is_refused(given, error, message):
    with pytest.raises(error, match=message):
        read_stop(given, judge="number")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"aggregation": "first"}, "stop=esc with aggregation=first"),
        ({"aggregation": "voting"}, "repeats=2 with stop=esc"),
    ],
)
def test_what_needs_all_samples_is_refused(checkpoints, given, message):
    own = {"stop": "esc", "num_return_sequences": 4, **given}
    with pytest.raises(ModelError, match=message):
        LatentLM(str(checkpoints["coconut"]), **own).generate_until(
            [make_request("2 + 3?", {}, task="t", number=0, repeats=2)] * 2
        )
