"""Latent-SFT: prompts, mixtures, stops and answers are those of a slow computation."""

import json
import math

import pytest
import torch
from transformers import TopKLogitsWarper, TopPLogitsWarper

from latent_tts.models import AutoLatentModel, ModelError
from latent_tts.models.engine.rollouts import complete
from latent_tts.models.samplers import randomness
from tests.checkpoints import edit_weights
from tests.marks import slow_but
from tests.models.mixtures.checkpoints import write_checkpoint
from tests.models.mixtures.conftest import QUESTIONS
from tests.models.reference import sample_key
from tests.models.sampled import check_same

MOST, NEW, SEED = 8, 22, 11
LENGTHS = {"max_latent_length": MOST, "max_new_tokens": NEW, "seed": SEED}
PLAIN = {**LENGTHS, "latent_do_sample": False}
INSTRUCTION = r"Please reason step by step, and put your final answer within \boxed{}."
PROMPTS = {
    "llama": (
        "<|start_header_id|>user<|end_header_id|>\n\n{}\n{}<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    ),
    "qwen": (
        "<|im_start|>system\nSolve it.<|im_end|>\n<|im_start|>user\n{}\n{}<|im_end|>\n"
        "<|im_start|>assistant\n"
    ),
    "deepseek": "<｜begin▁of▁sentence｜><｜User｜>{}\n{}<｜Assistant｜>",
}


def check_slow(one, slow, tolerance=2e-3):
    """Hold a trajectory against what was computed slowly; of near ties either may come first."""
    assert len(one.thoughts) == len(slow.thoughts)
    assert list(one.answer_ids) == slow.answer
    for number, (ids, weights) in enumerate(zip(slow.ids, slow.weights, strict=True)):
        ours = zip(one.mixture.ids[number], one.mixture.weights[number], strict=True)
        by_token = {int(token): float(weight) for token, weight in ours if weight > 0}
        assert by_token == pytest.approx(
            dict(zip(ids.tolist(), weights.tolist(), strict=True)), abs=tolerance
        )
        thought = slow.thoughts[number]
        torch.testing.assert_close(one.thoughts[number], thought, rtol=0, atol=tolerance)


@pytest.mark.parametrize("kind", PROMPTS)
def test_prompts_are_those_of_the_published_evaluation(mixed, kind):
    one = mixed(kind)
    for question in QUESTIONS:
        text = PROMPTS[kind].format(INSTRUCTION, question)
        assert one.model.format_prompt(question) == text
        # `<think>` is tokenised by itself: after Llama's line breaks it would begin otherwise.
        expected = [*one.slow.ids(text), *one.slow.ids("<think>")]
        assert one.model.encode_prompt(one.tokenizer, question) == expected
        assert (expected != one.slow.ids(f"{text}<think>")) == (kind == "llama")


@pytest.mark.parametrize("kind", slow_but(PROMPTS, "llama"))
@pytest.mark.parametrize(("size", "temperature"), slow_but([(10, 1.0), (3, 0.7)], (10, 1.0)))
def test_thoughts_and_answers_are_those_of_plain_transformers(mixed, kind, size, temperature):
    one = mixed(kind)
    settings = {**PLAIN, "mixture_size": size, "mixture_temperature": temperature}
    together = one.sample(settings, questions=4)
    counts = set()
    for (number, _), found in together.items():
        prompt = one.prompts()[number]
        slow = one.slow.latent_sft(prompt, size=size, temperature=temperature, most=MOST, new=NEW)
        check_slow(found, slow)
        assert found.truncated == (slow.answer[-1] != one.slow.eos)
        (alone,) = one.sample(settings, prompts=[prompt]).values()
        check_slow(alone, slow)
        counts.add(len(slow.thoughts))
    if (size, kind) != (3, "deepseek"):
        assert len(counts) > 1  # some end by themselves, some at the most thoughts


def test_thinking_may_end_before_it_begins(tmp_path, mixed):
    """Where the published code ends in an error."""
    usual, folder = mixed("llama"), write_checkpoint(tmp_path, "llama")
    with torch.no_grad():
        likeliest = usual.slow.logits(usual.slow.embedding[usual.prompts()[0]]).argmax()
    first = usual.slow.ids("</think>")[0]

    def give_its_row(weights):
        weights["lm_head.weight"][first] = 2 * weights["lm_head.weight"][likeliest]

    edit_weights(folder, give_its_row)
    one = type(usual)("latent_sft", folder, named="latent_sft")
    ((_, found),) = one.sample(PLAIN, questions=1).items()
    assert found.thoughts.shape == (0, 48)
    assert found.mixture.ids.shape == (0, 10)
    check_slow(found, one.slow.latent_sft(one.prompts()[0], size=10, most=MOST, new=NEW))


def test_a_temperature_of_zero_feeds_the_likeliest_token(mixed):
    one = mixed("qwen")
    found = one.sample({**PLAIN, "mixture_temperature": 0.0}, questions=2)
    for trajectory in found.values():
        embedding = one.slow.embedding[trajectory.mixture.ids[:, 0]]
        torch.testing.assert_close(trajectory.thoughts, embedding)
        assert trajectory.mixture.weights[:, 0].tolist() == [1.0] * len(embedding)


@pytest.mark.slow
def test_room_for_thoughts_grows_as_they_are_needed(mixed):
    """Beyond the thoughts for which there is room to begin with."""
    one = mixed("llama")
    settings = {**PLAIN, "latent_length": 70, "max_latent_length": None, "max_new_tokens": 80}
    found = one.sample({**settings, "mixture_temperature": 0.0}, questions=2)
    for (number, _), trajectory in found.items():
        inputs = list(one.slow.embedding[one.prompts()[number]])
        for thought in range(70):
            with torch.no_grad():
                likeliest = one.slow.logits(inputs).argmax()
            inputs.append(one.slow.embedding[likeliest])
            assert int(trajectory.mixture.largest[thought]) == int(likeliest)
        torch.testing.assert_close(trajectory.thoughts, torch.stack(inputs[-70:]).detach())


def test_a_fixed_number_of_thoughts_ends_by_no_token(mixed):
    one = mixed("llama")
    found = one.sample({**PLAIN, "latent_length": 6, "max_latent_length": None}, questions=4)
    assert {len(trajectory.thoughts) for trajectory in found.values()} == {6}
    assert all(trajectory.mixture.ids.shape == (6, 10) for trajectory in found.values())


def test_what_is_generated_holds_the_whole_marker(mixed):
    one = mixed("llama")
    output = one.generate(one.prompts(), **PLAIN)
    found = one.sample(PLAIN)
    marker = one.slow.ids("</think>")
    assert len(marker) > 2
    assert output.answer_ids() == [found[number, 0].text_ids for number in range(4)]
    for number, row in enumerate(output.sequences.tolist()):
        begin = output.sequences.shape[1] - max(
            len(each.thoughts) + len(marker) + len(each.answer_ids) for each in found.values()
        )
        begin += len(found[number, 0].thoughts)
        assert row[begin : begin + len(marker)] == marker


def drawn(one, prompt, sample, temperature, top_k, top_p):
    """Return how a sample's next token is chosen: Gumbel-max over what transformers leaves."""
    key = sample_key(SEED, prompt, sample)

    def choose(logits, position):
        uniform = randomness.uniform(
            key, torch.tensor(position), site=1 << 20, size=len(one.slow.embedding)
        )[: len(logits)]
        scores = logits[None] / temperature
        for warp in (TopKLogitsWarper(top_k or len(logits)), TopPLogitsWarper(top_p)):
            scores = warp(None, scores)
        return int((scores[0].double() - (-uniform.log()).log()).argmax())

    return choose


@pytest.mark.parametrize(
    ("temperature", "top_k", "top_p"),
    slow_but([(1.5, 0, 0.6), (1.0, 0, 1.0), (2.0, 4, 1.0), (2.0, 9, 0.7)]),
)
def test_answers_are_drawn_from_transformers_nucleus(mixed, temperature, top_k, top_p):
    one = mixed("llama")
    settings = {**PLAIN, "do_sample": True, "temperature": temperature, "top_p": top_p}
    settings |= {"top_k": top_k, "num_return_sequences": 4}
    found = one.sample(settings, questions=2)
    for (number, sample), trajectory in found.items():
        prompt = one.prompts()[number]
        choose = drawn(one, prompt, sample, temperature, top_k, top_p)
        slow = one.slow.latent_sft(prompt, size=10, most=MOST, new=NEW, choose=choose)
        check_slow(trajectory, slow)
    assert len({trajectory.answer_ids for trajectory in found.values()}) > 4


def gumbel(prompt, sample, scale, temperature, one_sided):
    """Return how a sample's weights are made noisy."""
    key = sample_key(SEED, prompt, sample)

    def weigh(log_probs, ids, position):
        uniform = randomness.uniform(key, torch.tensor(position), site=0, size=1000)[ids]
        noise = [-math.log(-math.log(u)) for u in uniform.tolist()]
        if one_sided:
            noise = [min(max(g, -1.5), 3.0) + 1.5 for g in noise]
        return ((log_probs + scale * torch.tensor(noise)) / temperature).softmax(dim=-1)

    return weigh


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scale", "temperature", "one_sided"),
    [(1.0, 1.0, False), (0.5, 0.8, True)],
)
def test_gumbel_noise_is_on_the_weights_alone(mixed, scale, temperature, one_sided):
    one = mixed("llama")
    settings = {**LENGTHS, "gumbel_scale": scale, "gumbel_temperature": temperature}
    settings |= {"one_sided": one_sided, "num_return_sequences": 3, "max_latent_length": 5}
    found = one.sample(settings, questions=2)
    for (number, sample), trajectory in found.items():
        prompt = one.prompts()[number]
        weigh = gumbel(prompt, sample, scale, temperature, one_sided)
        slow = one.slow.latent_sft(prompt, size=10, most=5, new=NEW, weigh=weigh)
        check_slow(trajectory, slow)
    first = [found[0, sample].mixture for sample in range(3)]
    assert torch.equal(first[0].ids[0], first[1].ids[0])  # the same tokens, otherwise weighed
    assert not torch.allclose(first[0].weights[0], first[1].weights[0])


def test_noise_is_added_to_the_mixture(mixed):
    one = mixed("qwen")
    settings = {**LENGTHS, "latent_do_sample_by": "noise", "noise_std": 0.05}
    for (number, _), trajectory in one.sample(settings, questions=2).items():
        key = sample_key(SEED, one.prompts()[number], 0)

        def shift(position, key=key):
            return 0.05 * randomness.normal(key, torch.tensor(position), site=0, size=48).float()

        slow = one.slow.latent_sft(one.prompts()[number], size=10, most=MOST, new=NEW, shift=shift)
        check_slow(trajectory, slow)


SAMPLING = {
    "gumbel": {},
    "noise": {"latent_do_sample_by": "noise", "noise_std": 0.1},
    "dropout": {"latent_do_sample_by": "dropout", "dropout_p": 0.1},
    "dropout over thoughts": {"latent_do_sample_by": "dropout", "dropout_scope": "thoughts"},
}


@pytest.mark.parametrize("name", slow_but(SAMPLING))
def test_a_sample_is_the_same_alone_and_in_batches(mixed, name):
    one = mixed("llama")
    settings = {**LENGTHS, **SAMPLING[name], "num_return_sequences": 4, "max_latent_length": 5}
    together = one.sample(settings, questions=4)
    assert len({t.thoughts.numpy().tobytes() for t in together.values()}) > 12
    prompts = one.prompts()
    alone = {}
    for number, prompt in enumerate(prompts):
        for (_, sample), found in one.sample(settings, prompts=[prompt], max_rows=1).items():
            alone[number, sample] = found
    check_same(together, alone, tolerance=2e-3)
    for at, found in together.items():
        torch.testing.assert_close(
            found.mixture.weights, alone[at].mixture.weights, rtol=0, atol=2e-3
        )
    few = one.sample({**settings, "num_return_sequences": 2}, questions=4, max_rows=3)
    check_same(few, {at: found for at, found in together.items() if at[1] < 2}, tolerance=2e-3)


def test_what_is_completed_without_a_sampler_is_the_trajectory(mixed):
    one = mixed("llama")
    found = one.sample(PLAIN, questions=2)
    given = [found[number, 0] for number in range(2)]
    settings = one.model.settings(**PLAIN)
    left = list(complete(one.model, one.prompts()[:2], given, settings, count=2))
    longest = max(len(one.thoughts) for one in given)
    assert {leave.step for leave, _ in left} == set(range(1, longest))
    for leave, trajectory in left:
        whole = given[leave.trajectory]
        torch.testing.assert_close(trajectory.thoughts, whole.thoughts, rtol=0, atol=2e-3)
        assert trajectory.answer_ids == whole.answer_ids
        assert trajectory.mixture is None  # of the first thoughts nobody has said it


def test_what_is_saved_says_what_it_is(mixed, tmp_path):
    one = mixed("qwen")
    one.model.save_pretrained(tmp_path)
    one.tokenizer.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["architectures"] == ["LatentSFTQwen2"]
    again = AutoLatentModel.from_pretrained(tmp_path)
    assert type(again) is type(one.model)
    assert again.settings(**PLAIN).record() == one.model.settings(**PLAIN).record()


def test_settings_come_from_the_checkpoint(mixed, tmp_path):
    folder = write_checkpoint(tmp_path, "llama")
    path = folder / "generation_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "mixture_size": 4}))
    model = AutoLatentModel.from_pretrained(folder, backbone="latent_sft")
    assert model.settings().mixing.mixture_size == 4
    assert model.settings(mixture_size=5).mixing.mixture_size == 5
    record = model.settings(do_sample=True, top_p=0.9).record()
    assert record["mixture_size"] == 4
    assert record["mixture_temperature"] == 1.0
    assert record["latent_do_sample_by"] == "gumbel"
    assert record["top_p"] == 0.9
    assert "top_k" not in record  # as in records from before there was one
    assert model.settings(record) == model.settings(do_sample=True, top_p=0.9)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"so \boxed{18}.", "18"),
        (r"\boxed{\frac{1}{2}} or \boxed{ 7. }", "7"),
        (r"\boxed 71", "71"),
        (r"$\boxed{7$", "7"),
        (r"\boxed{}", None),
        ("18", None),
        ("", None),
    ],
)
def test_answers_are_what_stands_in_the_last_box(mixed, text, answer):
    assert mixed("llama").model.read_answer(text) == answer


def test_what_cannot_be_used_is_refused(mixed, backbones, tmp_path):
    one, coconut = mixed("llama").model, backbones["coconut"].model
    size = one.config.vocab_size
    for model, settings, message in (
        (one, {"mixture_size": size + 1}, rf"mixture_size={size + 1}, but .* has {size} tokens"),
        (one, {"mixture_size": 0}, "mixture_size=0; allowed is a whole number of at least 1"),
        (one, {"mixture_temperature": -1}, "mixture_temperature=-1; allowed is a number"),
        (one, {"max_latent_length": 9, "max_new_tokens": 16}, r"must be at least 17"),
        (one, {"top_p": 0}, "top_p=0; allowed is a number above 0 and at most 1"),
        (one, {"top_k": -1}, "top_k=-1; allowed is a whole number of at least 0"),
        (one, {"latent_do_sample_by": "native"}, "this latent_sft checkpoint has none"),
        (coconut, {"latent_do_sample_by": "gumbel"}, "a thought of coconut is no mixture"),
        (coconut, {"mixture_size": 3}, "mixture_size=3 says how .* coconut mixes none"),
    ):
        with pytest.raises(ModelError, match=message):
            model.settings(**settings)
    long = [mixed("llama").prompts(1)[0] * 3]
    with pytest.raises(ModelError, match=r"needs .* positions"):
        mixed("llama").sample(PLAIN, prompts=long)


def test_a_checkpoint_without_chat_template_is_refused(tmp_path):
    folder = write_checkpoint(tmp_path, "qwen")
    (folder / "chat_template.jinja").unlink()
    model = AutoLatentModel.from_pretrained(folder, backbone="latent_sft")
    with pytest.raises(ModelError, match=r"has no chat template, and a latent_sft model reads"):
        model.format_prompt("2+2?")


def test_a_checkpoint_that_cannot_write_the_marker_is_refused(tmp_path):
    folder = write_checkpoint(tmp_path, "qwen")
    path = folder / "tokenizer.json"
    written = json.loads(path.read_text())
    del written["model"]["vocab"][">"]  # neither `<think>` nor `</think>` can be written
    path.write_text(json.dumps(written))
    with pytest.raises(ModelError, match="cannot end its thinking: its tokenizer has no '</think>"):
        AutoLatentModel.from_pretrained(folder, backbone="latent_sft")
