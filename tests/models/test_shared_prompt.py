"""A prompt that is held once gives what a prompt repeated for every sample gives."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import GPTJConfig, GPTJModel, Qwen2Config, Qwen2Model

from latent_tts.models import ModelError
from latent_tts.models.engine.attention import read_on, read_prompts, shared_attention
from latent_tts.models.engine.cache import Group, RowCache
from latent_tts.models.engine.prompts import pad_left
from latent_tts.models.engine.rollouts import branch
from latent_tts.reward import LatentRewardModel, beam_search
from tests.models.held import held_bytes
from tests.models.repeated import repeated
from tests.models.sampled import check_same, thought_length


@pytest.mark.parametrize(("questions", "count"), [(1, 1), (1, 7), (6, 5)])
def test_samples_are_those_of_repeated_prompts(backbone, sampling, questions, count):
    prompts = backbone.prompts(questions)
    # More tokens than a row's buffer begins with.
    settings = {**sampling, "num_return_sequences": count, "max_new_tokens": 40}
    found = backbone.generate(prompts, padding=3, **settings)
    with repeated():
        expected = backbone.generate(prompts, padding=3, **settings)
    check_same(found, expected)
    lengths = (found.latent_lengths + found.answer_lengths).tolist()
    assert questions == 1 or len(set(lengths)) > 2  # rows leave at different times


def test_completions_are_those_of_repeated_prompts(backbone, sampling):
    model, prompts = backbone.model, backbone.prompts(4)
    input_ids, mask = pad_left(prompts, model.latent_tokens.pad)
    settings = model.settings(**sampling, num_return_sequences=3)
    trajectories = backbone.generate(prompts, generation_config=settings)

    def complete():
        return list(
            branch(
                model,
                input_ids=input_ids,
                attention_mask=mask,
                trajectories=trajectories,
                settings=settings,
                count=2,
            )
        )

    found = complete()
    with repeated():
        expected = complete()
    assert len(found) == len(expected) > 1
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.equal(ours.rows, theirs.rows)
        check_same(ours.output, theirs.output)


@pytest.fixture
def reward_model(backbone):
    torch.manual_seed(1)
    model = LatentRewardModel.from_backbone(backbone.model)
    torch.nn.init.normal_(model.classifier.weight)
    return model


def test_beams_are_those_of_repeated_prompts(backbone, sampling, reward_model):
    model = backbone.model
    input_ids, mask = pad_left(backbone.prompts(4), model.latent_tokens.pad)
    sizes = {"num_beams": 3, "num_beam_candidates": 2, "num_return_sequences": 6}
    settings = model.settings(**sampling, **sizes)

    def search():
        return beam_search(
            model, reward_model, input_ids=input_ids, attention_mask=mask, settings=settings
        )

    found = search()
    with repeated():
        expected = search()
    assert torch.equal(found.questions, expected.questions)
    check_same(found.output, expected.output)
    torch.testing.assert_close(found.step_rewards, expected.step_rewards, rtol=1e-3, atol=1e-3)


def test_scores_and_their_gradients_are_those_of_repeated_prompts(backbone, reward_model):
    input_ids, mask = pad_left(backbone.prompts(3), 0)
    thoughts = torch.randn(3, 4, 5, 48, generator=torch.Generator().manual_seed(2))
    lengths = torch.tensor([[5, 1, 3, 5], [2, 5, 4, 0], [5, 5, 5, 5]])

    def score():
        reward_model.zero_grad()
        rewards = reward_model(input_ids, mask, thoughts, lengths)
        (rewards * rewards).sum().backward()
        gradients = {
            name: weight.grad.clone()
            for name, weight in reward_model.named_parameters()
            if weight.grad is not None
        }
        return rewards.detach(), gradients

    found, gradients = score()
    with repeated():
        expected, theirs = score()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    assert len(gradients) > 20
    torch.testing.assert_close(gradients, theirs, rtol=1e-3, atol=1e-3)


def test_the_models_own_attention_is_back_afterwards(backbone, monkeypatch):
    model = backbone.model
    before = model.config._attn_implementation
    settings = thought_length(backbone, 2)
    seen = []
    hook = model.base_model.register_forward_pre_hook(
        lambda module, args: seen.append(module.config._attn_implementation)
    )
    backbone.generate(backbone.prompts(8), **settings)
    hook.remove()
    assert seen[0] == before
    assert set(seen[1:]) == {"latent_tts_shared_prompt"}
    assert model.config._attn_implementation == before

    def fails(module, args):
        if module.config._attn_implementation != before:
            raise KeyError

    hook = model.base_model.register_forward_pre_hook(fails)
    with pytest.raises(KeyError):
        backbone.generate(backbone.prompts(8), **settings)
    hook.remove()
    assert model.config._attn_implementation == before


@pytest.fixture
def qwen():
    """A trunk that this project has no backbone for: grouped heads, biases, rotary positions."""
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
    _, prompts = read_prompts(qwen, ids, mask)
    cache = RowCache(Group(prompts, owners))
    positions = mask.sum(dim=1)[owners, None] + torch.arange(5)
    found = torch.cat(
        [
            read_on(qwen, cache, inputs[:, part], positions[:, part])
            for part in (slice(0, 3), slice(3, 4), slice(4, 5))
        ],
        dim=1,
    )
    for row, owner in enumerate(owners):
        prompt = qwen.embed_tokens(ids[owner][mask[owner].bool()])
        whole = qwen(inputs_embeds=torch.cat((prompt, inputs[row]))[None]).last_hidden_state
        torch.testing.assert_close(found[row], whole[0, -5:], rtol=0, atol=1e-5)


@torch.no_grad()
def test_a_few_prompts_at_a_time_are_the_same(qwen, monkeypatch):
    ids, mask = PADDED
    hidden, prompts = read_prompts(qwen, ids, mask)
    monkeypatch.setattr("latent_tts.models.engine.attention._TOKENS", 16)
    parts = []
    some, other = read_prompts(qwen, ids, mask, lambda part, at: parts.append((part, at.tolist())))
    # Two prompts of seven tokens are fewer than sixteen tokens, three are more.
    assert parts == [
        (slice(0, 2), [[0, 0, 0, 0, 1, 2, 3], [0, 0, 0, 0, 0, 0, 1]]),
        (slice(2, 4), [[0, 1, 2, 3, 4, 5, 6]]),
    ]
    torch.testing.assert_close(some, hidden)
    assert torch.equal(other.lengths, torch.tensor([4, 2, 7]))
    torch.testing.assert_close((other.keys, other.values), (prompts.keys, prompts.values))


def test_a_model_that_forgets_positions_is_refused():
    config = Qwen2Config(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=48, vocab_size=90, use_sliding_window=True, max_window_layers=0,
        sliding_window=4,
    )  # fmt: skip
    with pytest.raises(ModelError, match=r"Layer 0 .*DynamicSlidingWindowLayer.*sliding windows"):
        read_prompts(Qwen2Model(config), *PADDED)


def test_a_model_that_attends_by_itself_is_refused():
    config = GPTJConfig(n_embd=32, n_layer=1, n_head=2, vocab_size=90, rotary_dim=4)
    with pytest.raises(ModelError, match="GPTJModel does not attend by transformers' attention"):
        read_prompts(GPTJModel(config), *PADDED)


def test_an_attention_of_another_kind_is_refused(qwen):
    cache = RowCache(Group(read_prompts(qwen, *PADDED)[1], torch.arange(3)))
    states = torch.zeros(3, 2, 1, 8)
    with pytest.raises(ModelError, match="attention asks for softcap"):
        shared_attention(
            qwen.layers[0].self_attn,
            *(states.repeat(1, 2, 1, 1), states, states, None),
            row_cache=cache,
            softcap=3.0,
        )


class LargestTensor(TorchDispatchMode):
    """Notes the storage of every tensor that an operation returns."""

    largest = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if isinstance(tensor, torch.Tensor):
                self.largest = max(self.largest, tensor.untyped_storage().nbytes())
        return result


def test_no_prompt_is_copied_for_every_sample(backbone, monkeypatch):
    prompts, count = [(backbone.prompts(1)[0] * 9)[:150]] * 2, 32
    held = []

    def watched(model, cache, *args):
        hidden = read_on(model, cache, *args)
        held.append(held_bytes(cache))
        return hidden

    monkeypatch.setattr(engine, "read_on", watched)
    with LargestTensor() as seen:
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
    own = 2 * count * 16 * position  # a buffer begins with room for 16 positions
    assert max(held) == 2 * config.num_hidden_layers * (layer + own)
