"""The likeliest token, with a head that is packed in parts and with one that is not."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from latent_tts.models import EngineOptions, ModelError
from latent_tts.models.backbones.tokens import LatentTokens
from latent_tts.models.engine.head import likeliest, logits
from latent_tts.models.engine.kernels import packed_head

PART = 8192  # tokens of a packed head that are computed at once
VOCABULARY = 20_000  # three parts


@pytest.fixture(params=[True, False], ids=["packed", "plain"])
def packed(request):
    return request.param


def made_model(head, *, packed=True, forbidden=()):
    """What the head asks of a model."""
    return SimpleNamespace(
        base_model=nn.Identity(),
        device=torch.device("cpu"),
        engine_options=EngineOptions(packed_weights=packed),
        get_output_embeddings=lambda: head,
        modules=lambda: [head],
        parameters=lambda: head.parameters(),
        latent_tokens=LatentTokens(end=0, placeholder=0, eos=(), pad=0, forbidden=forbidden),
    )


def made_head(vocabulary, *, bias=False):
    torch.manual_seed(vocabulary)
    head = nn.Linear(16, vocabulary, bias=bias)
    for weight in head.parameters():
        nn.init.normal_(weight)
    return head


@pytest.mark.parametrize("vocabulary", [5, VOCABULARY - 3, VOCABULARY])
@pytest.mark.parametrize("bias", [False, True])
@torch.no_grad()
def test_the_likeliest_token_is_that_of_all_logits(packed, vocabulary, bias):
    head, hidden = made_head(vocabulary, bias=bias), torch.randn(60, 16)
    model = made_model(head, packed=packed)
    largest, tokens = likeliest(model, hidden)
    every = hidden.double() @ head.weight.double().t() + (head.bias.double() if bias else 0)
    assert torch.equal(tokens, every.argmax(dim=-1))
    torch.testing.assert_close(largest.double(), every.amax(dim=-1), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(logits(model, hidden).double(), every, rtol=1e-5, atol=1e-4)
    if packed and vocabulary > PART:
        assert len(packed_head(model)) in (0, 3)  # none where torch has no such kernel
        assert tokens.max() >= PART


@torch.no_grad()
def test_the_first_of_equal_logits_wins(packed):
    head = made_head(VOCABULARY)
    head.weight.zero_()
    head.weight[[7, PART - 1, PART, VOCABULARY - 1], 0] = 1.0
    head.weight[[2 * PART - 1, 2 * PART], 1] = 1.0
    hidden = torch.zeros(3, 16)
    hidden[0, 0], hidden[1, 1], hidden[2, 0] = 2.0, 1.0, -1.0
    found = likeliest(made_model(head, packed=packed), hidden)[1]
    assert found.tolist() == [7, 2 * PART - 1, 0]


@torch.no_grad()
def test_what_is_not_a_number_is_the_largest(packed):
    head = made_head(VOCABULARY)
    head.weight[PART + 5] = torch.nan
    largest, tokens = likeliest(made_model(head, packed=packed), torch.ones(2, 16))
    assert largest.isnan().all()
    assert tokens.tolist() == [PART + 5] * 2


@torch.no_grad()
def test_a_head_of_another_kind_is_asked_as_it_is():
    head, hidden = nn.Sequential(nn.Linear(4, 9), nn.Tanh()), torch.randn(3, 4)
    expected = head(hidden)
    largest, tokens = likeliest(made_model(head), hidden)
    assert torch.equal(largest, expected.amax(dim=-1))
    assert torch.equal(tokens, expected.argmax(dim=-1))


def test_a_model_without_a_head_is_refused():
    with pytest.raises(ModelError, match="SimpleNamespace has no language-model head to answer"):
        likeliest(made_model(None), torch.zeros(1, 4))


@torch.no_grad()
def test_forbidden_tokens_are_never_the_likeliest(packed):
    head, hidden = made_head(VOCABULARY), torch.randn(60, 16)
    every = hidden @ head.weight.t()
    forbidden = tuple(every.argmax(dim=-1)[:30].tolist())
    model = made_model(head, packed=packed, forbidden=forbidden)
    every[:, list(forbidden)] = -torch.inf
    assert torch.equal(likeliest(model, hidden)[1], every.argmax(dim=-1))
    assert bool(logits(model, hidden)[:, list(forbidden)].isneginf().all())
