"""Checkpoints of training programs answer as those programs' models do, prompt for prompt."""

import pytest
import torch

from latent_tts.models import AutoLatentModel
from latent_tts.models.formats import SourceOptions
from tests.models.formats.written import (
    QUESTIONS,
    write_base,
    write_coconut,
    write_codi,
    write_colar,
)

GPT2, LLAMA = ["c_attn", "c_proj", "c_fc"], ["q_proj", "v_proj", "o_proj", "down_proj", "up_proj"]
CASES = ["coconut-GPT2", "coconut-Llama", "codi-GPT2", "codi-Llama", "codi-Qwen2", "colar-Llama"]


def write(case, folder):
    """Write a checkpoint; return it and the options that its files do not say."""
    method, trunk = case.split("-")
    base = write_base(folder / "base", trunk, bos=trunk == "Llama")
    if method == "coconut":
        written = write_coconut(folder, base, thoughts=4)
        return written, SourceOptions(base=str(base), latent_length=4)
    if method == "codi":
        written = write_codi(folder, base, GPT2 if trunk == "GPT2" else LLAMA)
        return written, SourceOptions(base=str(base), lora_alpha=8)
    return write_colar(folder, base), SourceOptions(base=str(base), thinking_speed=5)


@pytest.fixture(scope="module", params=CASES)
def loaded(request, tmp_path_factory):
    """A checkpoint that was written, its options, and the model that was loaded from it."""
    written, options = write(request.param, tmp_path_factory.mktemp("format"))
    model = AutoLatentModel.from_pretrained(written.path, source=options)
    return written, options, model


def answer(model, prompt, **settings):
    """Return thoughts f[T, D] and answer ids of one deterministic sample."""
    found = model.generate(
        torch.tensor([prompt]), latent_do_sample=False, return_dict_in_generate=True, **settings
    )
    count = int(found.answer_lengths[0])
    return found.latent_thoughts[0], found.sequences[0, -count:].tolist()


def test_prompts_thoughts_and_answers_are_the_programs(loaded):
    written, _, model = loaded
    lengths = set()
    for question in QUESTIONS:
        prompt, thoughts, expected = written.answer(question, 12)
        assert model.encode_prompt(model.tokenizer, question) == prompt
        limit = {"max_new_tokens": len(thoughts) + 1 + 12}
        if len(thoughts) == 64:  # the cap, which settings of fewer tokens do not allow
            limit = {"max_new_tokens": 64 + 1 + 12}
        if model.backbone == "colar":
            limit["max_latent_length"] = len(thoughts)
        found, ids = answer(model, prompt, **limit)
        torch.testing.assert_close(found, thoughts, rtol=1e-3, atol=1e-3)
        assert ids == expected
        lengths.add(len(thoughts))
    assert lengths


def test_a_converted_checkpoint_samples_the_same(loaded, tmp_path, run_python):
    written, options, model = loaded
    given = [
        f"--{name.replace('_', '-')}={value}"
        for name, value in vars(options).items()
        if value is not None
    ]
    folder = tmp_path / "converted"
    cli = ["-m", "latent_tts.harness.cli", "convert", str(written.path)]
    done = run_python(*cli, f"--output={folder}", *given)
    assert f"base {written.base}" in done.stdout
    assert str(folder) in done.stdout.splitlines()[-1]
    assert "convert" in (folder / "README.md").read_text()
    converted = AutoLatentModel.from_pretrained(folder)
    assert type(converted) is type(model)
    question = QUESTIONS[0]
    prompt = model.encode_prompt(model.tokenizer, question)
    assert converted.encode_prompt(converted.tokenizer, question) == prompt
    for settings in ({"latent_do_sample_by": "noise"}, {"dropout_p": 0.1}):
        ours, theirs = (
            each.generate(
                torch.tensor([prompt]),
                num_return_sequences=3,
                return_dict_in_generate=True,
                **settings,
            )
            for each in (converted, model)
        )
        assert ours.sequences.tolist() == theirs.sequences.tolist()
        assert torch.equal(ours.latent_thoughts, theirs.latent_thoughts)
