"""`latent-tts bench`: the ways do the same, and the command says what it measured."""

import json

import pytest
import torch
from click.testing import CliRunner
from transformers import GPT2Config

from latent_tts.harness.bench import work
from latent_tts.harness.bench.measures import matrix_rate
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
    input_ids = work.prompts(model, tokens=9, seed=3)
    given = model.settings(latent_do_sample=False, latent_length=6, max_new_tokens=17)
    found = plain_loop(model, input_ids, given)
    assert found.tolist() == model.generate(input_ids, generation_config=given)[:, 9:].tolist()
    assert found.shape == (1, work.NEW_TOKENS)


@pytest.mark.parametrize("sampler", work.SAMPLERS)
def test_the_plain_loop_samples(model, sampler):
    input_ids = work.prompts(model, tokens=9, seed=3)
    given = work.settings(model, sampler, 8, seed=0)
    hooks = [len(module._forward_hooks) for module in model.modules()]
    found = plain_loop(model, input_ids, given)
    assert found.shape == (8, work.NEW_TOKENS)
    assert [len(module._forward_hooks) for module in model.modules()] == hooks


def test_generate_writes_as_many_tokens(model):
    input_ids = work.prompts(model, tokens=5, seed=1)
    assert generate_texts(model, input_ids, count=3, tokens=7).shape == (3, 12)


def test_operations_are_counted_by_hand(model):
    given = work.settings(model, "noise", 4, seed=0)
    per_token = 2 * (32 * 96 + 32 * 32 + 2 * 32 * 128)  # two layers' weights
    tokens, fed = 9, 16
    attended = sum(range(1, 10)) + 4 * sum(range(10, 26))
    expected = (tokens + 4 * fed) * per_token + 2 * attended * 2 * 32 + 4 * 10 * 32 * 90
    assert work.operations(model, given, tokens=tokens) == 2.0 * expected
    own = work.settings(model, "dropout over prompt and thoughts", 4, seed=0)
    more = 3 * (9 * per_token + 2 * sum(range(1, 10)) * 2 * 32)
    assert work.operations(model, own, tokens=tokens) == 2.0 * (expected + more)


@pytest.mark.slow
def test_the_command_measures_a_users_checkpoint(checkpoints, tmp_path, monkeypatch):
    file = tmp_path / "bench.jsonl"
    monkeypatch.setattr("latent_tts.harness.bench.measures._RATE_SECONDS", 0.001)
    arguments = ["--pretrained", str(checkpoints["coconut"]), "--count", "2", "--rounds", "2"]
    done = CliRunner().invoke(
        bench, [*arguments, "--prompt-tokens", "9", "--device", "cpu", "--json", str(file)]
    )
    assert done.exit_code == 0, done.output
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert [row["sampler"] for row in rows] == list(work.SAMPLERS)
    for row in rows:
        assert row["N"] == 2
        for name in ("samples/s", "÷ plain loop", "÷ generate", "% of bound"):
            median, low, high = row[name]
            assert 0 < low <= median <= high
        assert f"{row['sampler']}, N = 2: samples/s" in done.output


def test_a_backbone_that_stops_by_itself_is_refused(checkpoints):
    model = AutoLatentModel.from_pretrained(checkpoints["colar"])
    with pytest.raises(ModelError, match="stops thinking by itself"):
        work.settings(model, "noise", 2, seed=0)


def test_a_folder_without_the_published_code_is_refused(checkpoints, tmp_path):
    arguments = ["--pretrained", str(checkpoints["coconut"]), "--reference", str(tmp_path)]
    with pytest.raises(ModelError, match="must be a clone of the published code"):
        CliRunner().invoke(bench, arguments, catch_exceptions=False)


@pytest.mark.slow
def test_the_rate_of_matrix_products_is_positive(monkeypatch):
    monkeypatch.setattr("latent_tts.harness.bench.measures._RATE_SECONDS", 0.001)
    assert matrix_rate(torch.device("cpu"), torch.float32) > 0
