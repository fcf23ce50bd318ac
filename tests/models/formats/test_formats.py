"""Checkpoints of training programs answer as those programs' models do, prompt for prompt."""

import pytest
import torch
from click.testing import CliRunner

from latent_tts.harness.commands.convert import convert
from latent_tts.models import AutoLatentModel, ModelError
from latent_tts.models.formats import SourceOptions, open_source, read
from tests.checkpoints import write_on_trunk
from tests.marks import slow_but
from tests.models.formats.written import (
    QUESTIONS,
    write_base,
    write_coconut,
    write_codi,
    write_colar,
)
from tests.models.test_adapter import write_adapter

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


@pytest.fixture(scope="module", params=slow_but(CASES, "coconut-GPT2", "colar-Llama"))
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


@pytest.mark.parametrize("loaded", slow_but(CASES), indirect=True)
def test_a_converted_checkpoint_samples_the_same(loaded, tmp_path):
    written, options, model = loaded
    given = [
        f"--{name.replace('_', '-')}={value}"
        for name, value in vars(options).items()
        if value is not None
    ]
    folder = tmp_path / "converted"
    done = CliRunner().invoke(convert, [str(written.path), f"--output={folder}", *given])
    assert not done.exception, done.exception
    assert f"base: {written.base}" in done.output
    assert str(folder) in done.output.splitlines()[-1]
    card = (folder / "README.md").read_text()
    assert "latent-tts convert" in card
    marker = "###" if model.backbone == "colar" else "<|start-latent|>"
    for fact in (
        f"- method: {model.backbone}\n",
        f"- trunk: {model.config.model_type}, 2 layers of width 32",
        f"- base: {written.base}, base_sha256 {model.origin.digest('base')}\n",
        "- thoughts: at least 1, at most 64, at" if marker == "###" else "- thoughts: ",
        f"- markers: `{marker}` (id {model.tokenizer.convert_tokens_to_ids(marker)})",
        "- left out: ",
    ):
        assert fact in card
    converted = AutoLatentModel.from_pretrained(folder)
    assert type(converted) is type(model)
    stored = converted.state_dict()
    for name, weight in model.state_dict().items():
        assert torch.equal(stored[name], weight), name
    question = QUESTIONS[0]
    prompt = model.encode_prompt(model.tokenizer, question)
    assert converted.encode_prompt(converted.tokenizer, question) == prompt
    for settings in ({"latent_do_sample_by": "noise"}, {"dropout_p": 0.1}):
        ours, theirs = (
            each.generate(
                torch.tensor([prompt]),
                num_return_sequences=3,
                max_new_tokens=80,
                return_dict_in_generate=True,
                **settings,
            )
            for each in (converted, model)
        )
        assert ours.sequences.tolist() == theirs.sequences.tolist()
        # Equal weights that lie elsewhere in memory may differ in a product's last bit.
        torch.testing.assert_close(
            ours.latent_thoughts, theirs.latent_thoughts, rtol=1e-5, atol=1e-6
        )


def unnamed(case, folder):
    """Checkpoints whose ranks, ties and tokens are others than the published ones'."""
    method, trunk, what = case.split("-")
    changed = {"tie_word_embeddings": what != "untied"} if what in ("tied", "untied") else {}
    extra = ("<extra-a>", "<extra-b>") if what == "extra" else ()
    base = write_base(folder / "base", trunk, bos=trunk == "Llama", extra=extra, **changed)
    options = {"base": str(base), "lora_alpha": 3 if what == "rank" else 8}
    if method == "coconut":
        return write_coconut(folder, base, thoughts=3), SourceOptions(
            base=str(base), latent_length=3
        )
    rank = {"rank": 1 if trunk == "GPT2" else 7}.get(what, 4)
    if method == "codi":
        targets = GPT2 if trunk == "GPT2" else LLAMA
        alpha = options["lora_alpha"]
        written = write_codi(folder, base, targets, rank=rank, alpha=alpha, width=5)
        return written, SourceOptions(**options)
    return write_colar(folder, base, rank=rank), SourceOptions(base=str(base), thinking_speed=5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    [
        "coconut-GPT2-untied",
        "coconut-Llama-tied",
        "coconut-Qwen2-untied",
        "coconut-GPT2-extra",
        "coconut-Llama-extra",
        "codi-GPT2-rank",
        "codi-Llama-rank",
        "codi-GPT2-untied",
        "codi-Llama-tied",
        "codi-Llama-extra",
        "colar-Llama-rank",
        "colar-Llama-tied",
        "colar-Qwen3-extra",
    ],
)
def test_what_no_published_checkpoint_has(case, tmp_path):
    """Other ranks, alphas and projectors, tied and untied heads, tokens that somebody added."""
    written, options = unnamed(case, tmp_path)
    model = AutoLatentModel.from_pretrained(written.path, source=options)
    test_prompts_thoughts_and_answers_are_the_programs((written, options, model))
    test_a_converted_checkpoint_samples_the_same((written, options, model), tmp_path)


@pytest.fixture(scope="module")
def colar(tmp_path_factory):
    written, options = write("colar-Llama", tmp_path_factory.mktemp("native"))
    return written, AutoLatentModel.from_pretrained(written.path, source=options)


def test_native_thoughts_are_the_heads_distribution(colar):
    written, model = colar
    prompt, thoughts, _ = written.answer(QUESTIONS[0], 1)
    found = model.generate(
        torch.tensor([prompt]),
        latent_do_sample_by="native",
        latent_temperature=0.5,
        max_latent_length=1,
        num_return_sequences=4000,
        max_new_tokens=3,
        return_dict_in_generate=True,
    ).latent_thoughts[:, 0]
    policy, hidden = model.lt_head, None
    with torch.no_grad():
        embedded = written.model.get_input_embeddings()(torch.tensor([prompt]))
        hidden = written.model(inputs_embeds=embedded, output_hidden_states=True)
        features = policy.fc(hidden.hidden_states[-1][:, -1])
        std = 0.5 * policy.log_std(features).exp()[0] * 0.018
    error = std / 4000**0.5
    assert bool(((found.mean(dim=0) - thoughts[0]).abs() < 5 * error).all())
    torch.testing.assert_close(found.std(dim=0), std, rtol=0.06, atol=0)
    still = model.generate(
        torch.tensor([prompt]),
        latent_do_sample_by="native",
        latent_temperature=0.0,
        max_latent_length=len(thoughts),
        max_new_tokens=len(thoughts) + 2,
        return_dict_in_generate=True,
    ).latent_thoughts[0]
    torch.testing.assert_close(still, thoughts, rtol=1e-3, atol=1e-3)


@pytest.mark.slow
def test_the_stochastic_stop_ends_as_often_as_its_token_is_likely(colar):
    written, model = colar
    prompt = written.prompt(QUESTIONS[2])
    temperature = 2.0
    with torch.no_grad():
        inputs = written.model.get_input_embeddings()(torch.tensor([prompt]))
        hidden = written.model(inputs_embeds=inputs, output_hidden_states=True).hidden_states[-1]
        thought = model.lt_head.mean(model.lt_head.fc(hidden[:, -1])) * 0.018
        inputs = torch.cat((inputs, thought[:, None]), dim=1)
        logits = written.model(inputs_embeds=inputs).logits[0, -1] / temperature
        ends = logits.softmax(-1)[written.end]
    assert 0.1 < ends < 0.9
    found = model.generate(
        torch.tensor([prompt]),
        latent_do_sample_by="native",
        latent_temperature=0.0,
        stop_temperature=temperature,
        max_latent_length=2,
        num_return_sequences=2000,
        max_new_tokens=4,
        return_dict_in_generate=True,
    )
    assert int(found.latent_lengths.min()) == 1  # never before the first thought
    share = (found.latent_lengths == 1).double().mean()
    assert abs(share - ends) < 5 * (ends * (1 - ends) / 2000) ** 0.5 + 1e-3


def test_native_needs_a_distribution(checkpoints):
    for kind in ("coconut", "colar"):
        model = AutoLatentModel.from_pretrained(checkpoints[kind])
        with pytest.raises(ModelError, match=f"this {kind} checkpoint has none"):
            model.settings(latent_do_sample_by="native")


def test_an_auxiliary_decoder_is_left_out(tmp_path):
    base = write_base(tmp_path / "base", "GPT2", bos=False)
    with_decoder = write_coconut(tmp_path / "sim", base, thoughts=2, auxiliary=True).path
    options = SourceOptions(base=str(base), latent_length=2)
    ours, theirs = (
        AutoLatentModel.from_pretrained(path, source=options).state_dict()
        for path in (with_decoder, write_coconut(tmp_path / "own", base, thoughts=2).path)
    )
    assert ours.keys() == theirs.keys()
    checkpoint = read(open_source(str(with_decoder)), options)
    assert checkpoint.left_out[0] == "expainable_llm.* (2 tensors)"


def test_extra_rows_are_never_answered(tmp_path):
    """A base whose vocabulary is padded beyond its tokenizer, as Qwen's is."""
    base = write_base(tmp_path / "base", "Qwen2", bos=False, vocab_size=300)
    written = write_codi(tmp_path / "codi", base, LLAMA, rank=3)
    model = AutoLatentModel.from_pretrained(
        written.path, source=SourceOptions(base=str(base), lora_alpha=8)
    )
    prompt, _, expected = written.answer(QUESTIONS[0], 6)
    assert model.encode_prompt(model.tokenizer, QUESTIONS[0]) == prompt
    found = answer(model, prompt, max_new_tokens=13)[1]
    assert found == expected
    with torch.no_grad():  # a padded row that is far likelier than any token
        head = model.get_output_embeddings().weight
        head[280] = 100 * head[found[0]]
    assert 280 not in answer(model, prompt, max_new_tokens=13)[1]
    assert set(range(260, 300)) <= set(model.latent_tokens.forbidden)


@pytest.mark.parametrize("trunk", ["GPT2", "Llama"])
def test_a_folder_of_adapters_is_merged_into_its_base(tmp_path, trunk):
    base = write_on_trunk(tmp_path / "base", "coconut", trunk)
    merged = write_adapter(tmp_path / "adapter", base, trunk)
    options = SourceOptions(latent_length=3)  # adapter_config.json names the base
    with pytest.raises(ModelError, match=r"say by which method it thinks, as backbone=coconut"):
        AutoLatentModel.from_pretrained(tmp_path / "adapter", source=options)
    with pytest.raises(ModelError, match=r"does not say how many thoughts"):
        AutoLatentModel.from_pretrained(tmp_path / "adapter", backbone="coconut")
    model = AutoLatentModel.from_pretrained(
        tmp_path / "adapter", backbone="coconut", source=options
    )
    assert model.settings().latent_length == 3
    for name, weight in merged.items():
        assert torch.equal(model.state_dict()[name], weight), name
    assert {"weights", "base"} < set(model.origin.files)
