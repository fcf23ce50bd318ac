"""A prompt that is held once gives what a prompt repeated for every sample gives."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import GPTJConfig, GPTJModel, Qwen2Config, Qwen2Model

from latent_tts.models import ModelError
from latent_tts.models.engine.attention import decode, prefill, shared_attention
from latent_tts.models.engine.cache import Group, RowCache
from latent_tts.models.engine.prompts import pad_left
from latent_tts.models.engine.rollouts import complete
from tests.marks import slow_but
from tests.models.engine.held import held_bytes
from tests.models.engine.passes import watching
from tests.models.engine.repeated import repeated
from tests.models.sampled import check_same, check_same_output, thought_length


@pytest.mark.parametrize(("questions", "count"), slow_but([(1, 3), (5, 3)], (5, 3)))
def test_samples_are_those_of_repeated_prompts(backbone, sampling, questions, count):
    prompts = backbone.prompts(questions)
    # More tokens than a row's buffer begins with.
    settings = {**sampling, "num_return_sequences": count, "max_new_tokens": 30}
    found = backbone.generate(prompts, padding=3, **settings)
    with repeated():
        expected = backbone.generate(prompts, padding=3, **settings)
    check_same_output(found, expected)
    lengths = (found.latent_lengths + found.answer_lengths).tolist()
    assert questions == 1 or len(set(lengths)) > 2  # rows leave at different times


@pytest.mark.slow
def test_completions_are_those_of_repeated_prompts(backbone, sampling):
    model, prompts = backbone.model, backbone.prompts(4)
    settings = model.settings(**sampling, num_return_sequences=3)
    trajectories = list(backbone.sample(settings, prompts=prompts).values())

    def completions():
        found = complete(model, prompts, trajectories, settings, count=2)
        return {(leave, one.sample): one for leave, one in found}

    found = completions()
    with repeated():
        expected = completions()
    check_same(found, expected)
    assert len(found) == 2 * sum(max(0, len(one.thoughts) - 1) for one in trajectories) > 20
    for (leave, _), one in found.items():
        assert torch.equal(
            one.thoughts[: leave.step], trajectories[leave.trajectory].thoughts[: leave.step]
        )


def test_the_models_own_attention_is_back_afterwards(backbone):
    model = backbone.model
    before = model.config._attn_implementation
    settings = thought_length(backbone, 2)
    seen = []
    with watching(model, lambda each: seen.append(model.config._attn_implementation)):
        backbone.generate(backbone.prompts(8), **settings)
    assert seen[0] == before
    assert set(seen[1:]) == {"latent_tts_shared_prompt"}
    assert model.config._attn_implementation == before

    def fails(each):
        if not each.prefill:
            raise KeyError

    with pytest.raises(KeyError), watching(model, fails):
        backbone.generate(backbone.prompts(8), **settings)
    assert model.config._attn_implementation == before


@pytest.fixture
def qwen():
    """A trunk alone: grouped heads, biases, rotary positions."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "vocab_size": 90}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    return Qwen2Model(Qwen2Config(**sizes, **heads, initializer_range=0.3)).eval()


PADDED = pad_left([[5, 7, 9, 1], [3, 3], [8, 1, 2, 6, 4, 7, 30]], 0)


@torch.no_grad()
def test_another_decoder_of_transformers_reads_on_after_shared_prompts(qwen):
    ids, mask = PADDED
    owners = torch.tensor([0, 2, 1, 2, 2, 0])
    inputs = torch.randn(6, 5, 32, generator=torch.Generator().manual_seed(1))
    _, prompts = prefill(qwen, ids, mask)
    cache = RowCache(Group(prompts, owners))
    positions = mask.sum(dim=1)[owners, None] + torch.arange(5)
    found = torch.cat(
        [
            decode(qwen, cache, inputs[:, part], positions[:, part])
            for part in (slice(0, 3), slice(3, 4), slice(4, 5))
        ],
        dim=1,
    )
    for row, owner in enumerate(owners):
        prompt = qwen.embed_tokens(ids[owner][mask[owner].bool()])
        alone = qwen(inputs_embeds=torch.cat((prompt, inputs[row]))[None]).last_hidden_state
        torch.testing.assert_close(found[row], alone[0, -5:], rtol=0, atol=1e-5)


@torch.no_grad()
def test_many_prompts_are_read_some_at_a_time(qwen):
    """As many as have 2,048 tokens with their padding."""
    prompts = [[4 + (n * 7) % 80] * (500 if n == 2 else 20 + n) for n in range(9)]
    ids, mask = pad_left(prompts, 0)
    parts = []
    hidden, together = prefill(qwen, ids, mask, lambda part, at: parts.append((part, at)))
    assert [part for part, _ in parts] == [slice(0, 4), slice(4, 8), slice(8, 12)]
    expected = (mask.cumsum(dim=1) - 1).clamp(min=0)
    assert torch.equal(torch.cat([positions for _, positions in parts]), expected)
    assert together.lengths.tolist() == [len(prompt) for prompt in prompts]
    for number, prompt in enumerate(prompts):
        alone, own = prefill(qwen, torch.tensor([prompt]), torch.ones(1, len(prompt)).long())
        torch.testing.assert_close(hidden[number], alone[0], rtol=0, atol=1e-4)
        states = zip(together.keys + together.values, own.keys + own.values, strict=True)
        for ours, theirs in states:
            ours = ours[number, :, -len(prompt) :]
            torch.testing.assert_close(ours, theirs[0], rtol=0, atol=1e-4)


def test_a_model_that_forgets_positions_is_refused():
    config = Qwen2Config(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=48, vocab_size=90, use_sliding_window=True, max_window_layers=0,
        sliding_window=4,
    )  # fmt: skip
    with pytest.raises(ModelError, match=r"Layer 0 .*DynamicSlidingWindowLayer.*sliding windows"):
        prefill(Qwen2Model(config), *PADDED)


def test_a_model_that_attends_by_itself_is_refused():
    config = GPTJConfig(n_embd=32, n_layer=1, n_head=2, vocab_size=90, rotary_dim=4)
    with pytest.raises(ModelError, match="GPTJModel does not attend by transformers' attention"):
        prefill(GPTJModel(config), *PADDED)


def test_an_attention_of_another_kind_is_refused(qwen):
    cache = RowCache(Group(prefill(qwen, *PADDED)[1], torch.arange(3)))
    states = torch.zeros(3, 2, 1, 8)
    with pytest.raises(ModelError, match="attention asks for softcap"):
        shared_attention(
            qwen.layers[0].self_attn,
            *(states.repeat(1, 2, 1, 1), states, states, None),
            row_cache=cache,
            softcap=3.0,
        )


def test_activation_checkpointing_is_refused(qwen):
    _, prompts = prefill(qwen, *PADDED)
    qwen.train().activation_checkpointing_enable()
    inputs, positions = torch.randn(3, 1, 32), torch.tensor([[4], [2], [7]])
    with pytest.raises(ModelError, match="checkpointing drops keys and values"):
        decode(qwen, RowCache(Group(prompts, torch.arange(3))), inputs, positions)


class LargestTensor(TorchDispatchMode):
    """Notes the storage of every tensor that an operation returns."""

    largest = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if isinstance(tensor, torch.Tensor):
                self.largest = max(self.largest, tensor.untyped_storage().nbytes())
        return result


def test_no_prompt_is_copied_for_every_sample(backbone):
    prompts, count = [(backbone.prompts(1)[0] * 9)[:150]] * 2, 32
    held = []

    def see(each):
        if not each.prefill:
            held.append(held_bytes(each.cache))

    with LargestTensor() as seen, watching(backbone.model, see):
        backbone.generate(
            prompts,
            num_return_sequences=count,
            latent_do_sample_by="noise",
            max_new_tokens=12,
            **thought_length(backbone, 3),
        )
    config = backbone.model.config
    heads = getattr(config, "num_key_value_heads", config.num_attention_heads)
    position = 4 * heads * (config.hidden_size // config.num_attention_heads)
    layer = 2 * 150 * position  # one layer's prompt keys of both questions
    assert seen.largest < count * layer / 2
    own = 2 * count * 16 * position  # a buffer begins with 16 positions
    assert max(held) == 2 * config.num_hidden_layers * (layer + own)


@pytest.mark.slow
def test_what_is_held_does_not_grow_with_the_number_of_questions(backbones):
    backbone, sizes = backbones["colar"], []
    settings = {"latent_do_sample_by": "noise", "max_new_tokens": 40, **thought_length(backbone, 5)}
    for questions in (4, 16):
        prompts = [backbone.prompts(1)[0] + [n] for n in range(questions)]
        with LargestTensor() as seen:
            backbone.sample({**settings, "num_return_sequences": 2}, prompts=prompts, max_rows=4)
        sizes.append(seen.largest)
    assert sizes[0] == sizes[1]
