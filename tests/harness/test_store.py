"""Runs go on from the store: nothing is sampled twice, and nothing else changes."""

import logging
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from latent_tts.harness.sample import sample_pools
from latent_tts.harness.stores import Stores
from latent_tts.models import AutoLatentModel, load_tokenizer
from tests.harness.evaluation import BENCHMARKS, evaluate, pools, question, timeless
from tests.harness.kills import kept_bytes, killed, start
from tests.reward.checkpoints import random_reward_model

QUESTIONS = [question(index) for index in range(6)]


@pytest.fixture(scope="module")
def loaded(checkpoints):
    model = AutoLatentModel.from_pretrained(checkpoints["coconut"])
    return model, load_tokenizer(str(checkpoints["coconut"]))


@pytest.fixture
def reads(loaded):
    """Rows that the trunk read in each pass."""
    seen = []

    def watch(module, args, given):
        inputs = given.get("input_ids", given.get("inputs_embeds"))
        seen.append(len(args[0] if inputs is None else inputs))

    hook = loaded[0].base_model.register_forward_pre_hook(watch, with_kwargs=True)
    yield seen
    hook.remove()


def settings_of(model, **given):
    own = {"latent_do_sample_by": "noise", "noise_std": 1.0, "latent_length": 3, "seed": 3}
    return model.settings(**{**own, "max_new_tokens": 12, "num_return_sequences": 4, **given})


def sampled(loaded, root, *, reward_model=None, thoughts=False, questions=QUESTIONS, **given):
    model, tokenizer = loaded
    settings = settings_of(model, **given)
    kept = None
    if root is not None:
        stores = Stores(root, model, reward_model, keep_thoughts=thoughts)
        kept = stores.of(settings, questions=len(questions))
    return sample_pools(model, tokenizer, questions, settings, kept=kept, reward_model=reward_model)


def test_what_is_there_is_not_sampled_again(loaded, reads, tmp_path):
    expected = sampled(loaded, None)
    assert sampled(loaded, tmp_path) == expected
    reads.clear()
    assert sampled(loaded, tmp_path) == expected
    assert reads == []
    assert sampled(loaded, tmp_path, num_return_sequences=2) == [
        type(pool)(pool.candidates[:2]) for pool in expected
    ]
    assert reads == []


def test_more_samples_later_are_those_of_a_larger_run(loaded, reads, tmp_path):
    sampled(loaded, tmp_path, questions=QUESTIONS[:4])
    reads.clear()
    more = sampled(loaded, tmp_path, num_return_sequences=7)
    assert max(reads) <= 4 * 3 + 2 * 7
    assert more == sampled(loaded, None, num_return_sequences=7)


@pytest.mark.slow
def test_a_changed_setting_takes_nothing_and_says_why(loaded, tmp_path, caplog):
    sampled(loaded, tmp_path)
    caplog.set_level(logging.INFO)
    for changed in ({"noise_std": 0.9}, {"seed": 4}, {"latent_length": 2}, {"max_new_tokens": 13}):
        caplog.clear()
        found = sampled(loaded, tmp_path, **changed)
        assert found == sampled(loaded, None, **changed)
        (name,) = changed
        assert "samples of other settings, of which none is taken" in caplog.text
        assert f"{name} was" in caplog.text


def test_another_checkpoint_takes_nothing(loaded, checkpoints, tmp_path):
    sampled(loaded, tmp_path)
    model = AutoLatentModel.from_pretrained(checkpoints["coconut"])
    with torch.no_grad():
        model.transformer.wte.weight[5] += 1.0
    stores = Stores(tmp_path, model, None, keep_thoughts=False)
    assert len(stores.of(settings_of(model), questions=1).store) == 0


def test_rewards_are_kept_and_other_models_score_kept_thoughts(loaded, reads, tmp_path):
    model, _ = loaded
    first, other = (random_reward_model(model, seed) for seed in (0, 1))
    expected = sampled(loaded, tmp_path, reward_model=first, thoughts=True)
    assert expected == sampled(loaded, None, reward_model=first)
    reads.clear()
    assert sampled(loaded, tmp_path, reward_model=first) == expected
    found = sampled(loaded, tmp_path, reward_model=other)
    assert reads == []
    anew = sampled(loaded, None, reward_model=other)
    for ours, theirs in zip(found, anew, strict=True):
        for one, two in zip(ours.candidates, theirs.candidates, strict=True):
            assert one.text == two.text
            assert one.reward == pytest.approx(two.reward, abs=2e-2)
            assert one.reward != two.reward or one.reward == 0  # half precision


@pytest.mark.slow
def test_a_search_is_not_repeated(loaded, reads, tmp_path):
    model, _ = loaded
    first, other = (random_reward_model(model, seed) for seed in (0, 1))
    beams = {"num_beams": 2, "num_beam_candidates": 2}
    expected = sampled(loaded, None, reward_model=first, **beams)
    assert all(pool.beams for pool in expected)
    assert sampled(loaded, tmp_path, reward_model=first, **beams) == expected
    reads.clear()
    assert sampled(loaded, tmp_path, reward_model=first, **beams) == expected
    assert reads == []
    assert [pool.beams for pool in sampled(loaded, tmp_path, reward_model=first)] == [()] * 6
    more = {"num_beams": 1, "num_beam_candidates": 4}
    assert sampled(loaded, tmp_path, reward_model=first, **more) == sampled(
        loaded, None, reward_model=first, **more
    )
    assert sampled(loaded, tmp_path, reward_model=other, **beams) == sampled(
        loaded, None, reward_model=other, **beams
    )


def test_a_checkpoint_that_changed_on_disk_takes_nothing(checkpoints, tmp_path):
    folder = shutil.copytree(checkpoints["coconut"], tmp_path / "model")
    load = AutoLatentModel.from_pretrained
    sampled((load(folder), load_tokenizer(str(folder))), tmp_path / "store")
    weights = load_file(folder / "model.safetensors")
    name = next(name for name in sorted(weights) if weights[name].is_floating_point())
    weights[name].view(-1)[0] += 1
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    model = load(folder)
    stores = Stores(tmp_path / "store", model, None, keep_thoughts=False)
    assert len(stores.of(settings_of(model), questions=1).store) == 0


@pytest.mark.slow
def test_without_thoughts_another_reward_model_samples_anew(loaded, reads, tmp_path):
    model, _ = loaded
    first, other = (random_reward_model(model, seed) for seed in (0, 1))
    sampled(loaded, tmp_path, reward_model=first)
    assert sampled(loaded, tmp_path, reward_model=other) == sampled(
        loaded, None, reward_model=other
    )


@pytest.mark.slow
def test_an_evaluation_goes_on_from_its_store(checkpoints, data, tmp_path, caplog):
    settings = {"num_return_sequences": 3, "latent_do_sample_by": "noise"}
    undisturbed = evaluate(checkpoints["coconut"], data, model_args=settings)
    settings |= {"store": str(tmp_path / "store")}
    first = evaluate(checkpoints["coconut"], data, model_args=settings, limit=4)
    caplog.set_level(logging.INFO)
    second = evaluate(checkpoints["coconut"], data, model_args=settings)
    assert pools(second) == pools(undisturbed)
    assert pools(first) == pools(undisturbed)[:4]
    assert "holds 12 samples already" in caplog.text
    ours = second["config"]["latent_tts"]["tasks"]["latent_tts_gsm8k"]
    assert ours["throughput"]["samples"] == (9 - 4) * 3
    assert second["results"] == undisturbed["results"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kills", "seed"), [(3, 0), pytest.param(50, 1, marks=pytest.mark.nightly)]
)
def test_a_run_that_is_killed_goes_on(tmp_path, kills, seed):
    """Killed with -9 on one, two or three processes, it ends with an undisturbed run's files."""
    arguments = [
        *("--model", "latent_tts", "--tasks", "latent_tts_arith", "--limit", "150"),
        *("--log_samples", "--include_path", str(BENCHMARKS)),
        *("--model_args", "num_return_sequences=8,latent_do_sample_by=noise"),
    ]
    for name in ("plain", "killed"):
        (tmp_path / name).mkdir()
    (plain,) = start(1, arguments, tmp_path / "plain")
    plain.join()
    assert plain.exitcode == 0, (tmp_path / "plain" / "log").read_text()
    size = kept_bytes(tmp_path / "plain" / "out")
    counts = killed(tmp_path / "killed", arguments=arguments, kills=kills, size=size, seed=seed)
    assert len(counts) == kills
    assert timeless(tmp_path / "killed") == timeless(tmp_path / "plain")
