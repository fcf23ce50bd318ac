"""`latent-tts bench`: the ways do the same, and the command says what it measured."""

import json

import pytest
import torch
from click.testing import CliRunner
from transformers import GPT2Config

from latent_tts.harness.bench import work
from latent_tts.harness.bench.measures import matrix_rate
from latent_tts.harness.bench.reference import published
from latent_tts.harness.bench.ways import generate_texts, plain_loop
from latent_tts.harness.commands.bench import bench
from latent_tts.models import COCONUTGPT2, AutoLatentModel, ModelError
from latent_tts.models.backbones.tokens import LatentTokens


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=90, n_embd=32, n_layer=2, n_head=2, n_positions=64)
    model = COCONUTGPT2(config).eval()
    model.latent_tokens = LatentTokens(end=88, placeholder=89, eos=(), pad=0)
    return model


def test_the_plain_loop_gives_the_engines_deterministic_answers(model):
    input_ids = work.prompts(model, tokens=9)
    given = model.settings(latent_do_sample=False, latent_length=6, max_new_tokens=17)
    found = plain_loop(model, input_ids, given)
    assert found.tolist() == model.generate(input_ids, generation_config=given)[:, 9:].tolist()
    assert found.shape == (1, work.NEW_TOKENS)


@pytest.mark.parametrize("sampler", work.SAMPLERS)
def test_the_plain_loop_samples(model, sampler):
    input_ids = work.prompts(model, tokens=9)
    given = work.settings(model, sampler, 8)
    hooks = [len(module._forward_hooks) for module in model.modules()]
    found = plain_loop(model, input_ids, given)
    assert found.shape == (8, work.NEW_TOKENS)
    assert [len(module._forward_hooks) for module in model.modules()] == hooks


def test_generate_writes_as_many_tokens(model):
    input_ids = work.prompts(model, tokens=5)
    assert generate_texts(model, input_ids, count=3, tokens=7).shape == (3, 12)


def test_operations_are_counted_by_hand(model):
    given = work.settings(model, "noise", 4)
    per_token = 2 * (32 * 96 + 32 * 32 + 2 * 32 * 128)  # two layers' weights
    tokens, fed = 9, 16
    attended = sum(range(1, 10)) + 4 * sum(range(10, 26))
    expected = (tokens + 4 * fed) * per_token + 2 * attended * 2 * 32 + 4 * 10 * 32 * 90
    assert work.operations(model, given, tokens=tokens) == 2.0 * expected
    own = work.settings(model, "dropout over prompt and thoughts", 4)
    more = 3 * (9 * per_token + 2 * sum(range(1, 10)) * 2 * 32)
    assert work.operations(model, own, tokens=tokens) == 2.0 * (expected + more)


@pytest.mark.slow
def test_the_command_measures_a_users_checkpoint(checkpoints, tmp_path, monkeypatch):
    file = tmp_path / "bench.jsonl"
    monkeypatch.setattr("latent_tts.harness.bench.measures.SHAPES", ((8, 8, 8),))
    arguments = ["--pretrained", str(checkpoints["coconut"]), "--count", "2", "--rounds", "2"]
    arguments += [text for name in work.SAMPLERS for text in ("--sampler", name)]
    done = CliRunner().invoke(
        bench, [*arguments, "--prompt-tokens", "9", "--device", "cpu", "--json", str(file)]
    )
    assert done.exit_code == 0, done.output
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert [row["sampler"] for row in rows] == list(work.SAMPLERS)
    for row in rows:
        assert row["N"] == 2
        compared = ["÷ plain loop", "÷ generate"][: 2 if row["sampler"] == "noise" else 1]
        for name in ("samples/s", *compared, "% of bound"):
            median, low, high = row[name]
            assert 0 < low <= median <= high
        assert f"{row['sampler']}, N = 2: samples/s" in done.output


def test_a_backbone_that_stops_by_itself_is_refused(checkpoints):
    model = AutoLatentModel.from_pretrained(checkpoints["colar"])
    with pytest.raises(ModelError, match="stops thinking by itself"):
        work.settings(model, "noise", 2)


def test_a_folder_without_the_published_code_is_refused(checkpoints, tmp_path):
    arguments = ["--pretrained", str(checkpoints["coconut"]), "--reference", str(tmp_path)]
    with pytest.raises(ModelError, match="must be a clone of the published code"):
        CliRunner().invoke(bench, arguments, catch_exceptions=False)


@pytest.mark.slow
def test_the_rate_of_matrix_products_is_positive(monkeypatch):
    monkeypatch.setattr("latent_tts.harness.bench.measures.SHAPES", ((8, 8, 8),))
    assert matrix_rate(torch.device("cpu"), torch.float32) > 0


MIXIN = """
from types import SimpleNamespace

def LatentGenerationConfig(**given):
    return SimpleNamespace(**given)

class LatentGenerationMixin:
    pass
"""
MODEL = """
import torch
from latent_tts.harness.bench.ways import plain_loop
from latent_tts.models import COCONUTGPT2 as Engine
from latent_tts.models.backbones.tokens import LatentTokens

class COCONUTGPT2(Engine):
    @classmethod
    def from_pretrained(cls, folder, *, latent_id, latent_start_id, latent_end_id, **given):
        model = super().from_pretrained(folder, **given)
        model.latent_tokens = LatentTokens(latent_end_id, 0, eos=(), pad=0)
        return model

    def generate(self, input_ids, attention_mask, generation_config, num_return_sequences,
                 use_cache):
        given = generation_config
        print("a line that is no answer")
        settings = self.settings(
            latent_length=given.latent_length,
            max_new_tokens=given.max_new_tokens,
            latent_do_sample_by=given.latent_do_sample_by,
            num_return_sequences=num_return_sequences,
        )
        return plain_loop(self, input_ids, settings)
"""


@pytest.fixture
def code(tmp_path):
    """A stand-in for the published code: its names, our loop."""
    (tmp_path / "src/models").mkdir(parents=True)
    (tmp_path / "src/generation_mixin.py").write_text(MIXIN)
    (tmp_path / "src/models/coconut.py").write_text(MODEL)
    return tmp_path


@pytest.mark.slow
def test_the_published_code_answers_in_a_process_of_its_own(model, code):
    input_ids = work.prompts(model, tokens=9)
    with published(code, None, model, input_ids) as ask:
        for sampler in ("noise", "dropout over prompt and thoughts"):
            rows = ask(work.settings(model, sampler, 2))
            assert [len(row) for row in rows] == [work.NEW_TOKENS] * 2


@pytest.mark.slow
@pytest.mark.parametrize("python", ["/no/python", None])
def test_published_code_that_does_not_answer(model, code, python):
    (code / "src/models/coconut.py").write_text("raise SystemExit(1)")
    input_ids = work.prompts(model, tokens=9)
    with (
        pytest.raises(ModelError, match=r"published code does not answer .* by --reference-python"),
        published(code, python, model, input_ids) as ask,
    ):
        ask(work.settings(model, "noise", 2))
