"""The checkpoint that ships: small, loadable by name, and as good as its card says."""

import json
import re
from pathlib import Path

import pytest

from latent_tts.harness.sample import sample_pools
from latent_tts.models import AutoLatentModel, load_tokenizer
from latent_tts.models.names import SHIPPED
from latent_tts.tasks import pool_metrics
from latent_tts.tasks.arith import generate

FOLDER = SHIPPED / "tiny-coconut"


@pytest.fixture(scope="module")
def tiny():
    return AutoLatentModel.from_pretrained("tiny-coconut"), load_tokenizer("tiny-coconut")


def test_it_is_small(tiny):
    model, _ = tiny
    assert model.num_parameters() <= 3_000_000
    assert sum(file.stat().st_size for file in FOLDER.rglob("*")) <= 8 * 2**20


def test_its_format_is_the_released_one():
    config = json.loads((FOLDER / "config.json").read_text())
    assert config["architectures"] == ["COCONUTGPT2"]
    assert config["model_type"] == "gpt2"


@pytest.mark.slow
def test_its_validation_accuracy_is_the_cards(tiny):
    # The card has the accuracy of the weights before they were rounded to half precision.
    card = (FOLDER / "README.md").read_text()
    row = re.search(r"\| latent \|.*\| ([\d.]+)% ± [\d.]+% \|", card)
    problems = list(generate(split="validation", count=500, seed=0))
    settings = tiny[0].settings(latent_do_sample=False)
    pools = sample_pools(*tiny, [problem.question for problem in problems], settings)
    right = [
        pool_metrics(pool, problem.answer)["pass@1"]
        for pool, problem in zip(pools, problems, strict=True)
    ]
    assert 100 * sum(right) / len(right) == pytest.approx(float(row[1]), abs=1)


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["noise", "dropout"])
def test_coverage_rises_with_the_number_of_samples(tiny, sampler):
    problems = list(generate(split="validation", count=100, seed=2))

    def rates(count, seed):
        settings = tiny[0].settings(
            latent_do_sample_by=sampler, num_return_sequences=count, seed=seed
        )
        pools = sample_pools(*tiny, [problem.question for problem in problems], settings)
        pairs = zip(pools, problems, strict=True)
        found = [pool_metrics(pool, problem.answer) for pool, problem in pairs]
        return {name: sum(one[name] for one in found) for name in ("pass@1", f"pass@{count}")}

    of_sixteen, of_one = rates(16, 0), rates(1, 1)
    assert of_sixteen["pass@16"] > of_sixteen["pass@1"] + 5
    # What sixteen samples say of one is what one sample of another seed says, in 100 problems.
    assert abs(of_sixteen["pass@1"] - of_one["pass@1"]) < 4 * 5


def test_every_file_is_readable_by_others():
    for file in Path(FOLDER).iterdir():
        assert file.stat().st_mode & 0o044 == 0o044, file
