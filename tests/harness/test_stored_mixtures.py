"""Mixtures in the store and in the log: those that the engine made, drawn now or found."""

import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from latent_tts.harness.commands.eval import eval
from latent_tts.harness.commands.score import score
from latent_tts.models import AutoLatentModel, sample
from latent_tts.results import collect
from latent_tts.tasks import Pool
from tests.harness.evaluation import BENCHMARKS, evaluate, pools, question
from tests.models.mixtures.checkpoints import write_checkpoint
from tests.results.made import pools_of
from tests.reward.checkpoints import random_reward_model

SETTINGS = {"max_new_tokens": 14, "max_latent_length": 4, "mixture_size": 3, "seed": 5}
SAMPLER = {"latent_do_sample_by": "gumbel"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("mixed"), "llama")


def run(folder, backbone, data, **given):
    own = SETTINGS | SAMPLER | {"backbone": backbone} | given
    return pools(evaluate(folder, data, model_args=own))


def without_mixtures(pool):
    return Pool(
        tuple(replace(one, mixture=None) for one in pool.candidates), question=pool.question
    )


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["latent_sft", "soft_thinking"])
def test_a_run_that_goes_on_has_the_mixtures_of_the_engine(folder, data, tmp_path, backbone):
    store = {"store": str(tmp_path / "store")}
    # Kept without thoughts they are no samples for a run that logs mixtures, and drawn once more.
    plain = run(folder, backbone, data, num_return_sequences=1, **store)
    assert all(one.mixture is None for pool in plain for one in pool.candidates)
    store["store_thoughts"] = True
    run(folder, backbone, data, num_return_sequences=2, **store)
    found = run(folder, backbone, data, num_return_sequences=3, **store)
    anew = run(folder, backbone, data, num_return_sequences=3)
    assert [without_mixtures(pool) for pool in found] == anew
    model = AutoLatentModel.from_pretrained(folder, backbone=backbone)
    prompts = [model.encode_prompt(model.tokenizer, question(n)) for n in range(len(found))]
    settings = model.settings(**SETTINGS, **SAMPLER, num_return_sequences=3)
    seen = 0
    for one in sample(model, prompts, settings):
        told = found[one.question].candidates[one.sample].mixture
        assert len(told) == len(one.thoughts)
        for thought, ids, weights in zip(
            told, one.mixture.ids.tolist(), one.mixture.weights.tolist(), strict=True
        ):
            known = {token: weight for token, weight in zip(ids, weights, strict=True) if weight}
            assert dict(thought) == {t: pytest.approx(w, abs=1e-4) for t, w in known.items()}
            seen += 1
    assert seen > 9


@pytest.mark.slow
def test_a_run_of_mixtures_is_scored_from_its_store(folder, tmp_path):
    backbone = AutoLatentModel.from_pretrained(folder, backbone="latent_sft")
    for seed in (1, 2):
        random_reward_model(backbone, seed).save_pretrained(tmp_path / f"rm{seed}")
        backbone.tokenizer.save_pretrained(tmp_path / f"rm{seed}")
        own = ",".join(f"{name}={value}" for name, value in (SETTINGS | SAMPLER).items())
        own += f",pretrained={folder},backbone=latent_sft,num_return_sequences=3"
        own += f",reward_model={tmp_path / f'rm{seed}'},any_reward_model=true"
        own += ",store_thoughts=true" if seed == 1 else ",store=none"
        words = ["--tasks", "latent_tts_arith", "--limit", "3", "--log_samples"]
        words += ["--model_args", own, "--output_path", str(tmp_path / f"run{seed}")]
        call(eval, *words, "--include_path", str(BENCHMARKS))
    rewards = ("--reward-model", f"second={tmp_path / 'rm2'}", "--any-reward-model")
    call(score, str(tmp_path / "run1"), *rewards, "--output", str(tmp_path / "again"))
    ours, theirs = (logged(tmp_path / name) for name in ("again/second", "run2"))
    for mine, other in zip(ours, theirs, strict=True):
        for one, two in zip(mine.candidates, other.candidates, strict=True):
            assert one.text == two.text
            assert one.mixture
            assert two.mixture is None
            assert one.reward == pytest.approx(two.reward, abs=2e-2)  # half precision


def call(command, *words):
    done = CliRunner().invoke(command, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output


def logged(folder):
    (run, *others), _ = collect([folder])
    assert not others
    return pools_of(run)
