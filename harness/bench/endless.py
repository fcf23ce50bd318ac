"""One sample of a batch that does not end: what do the others pay for it?

The model decides it by itself, from weights that are set before its first pass. Its position
embeddings from the last answer token on point along the end-of-sequence token's embedding, so that
every answer ends there. One more token's embedding is long, so that who says it goes on saying it
and outweighs the end; and it points where, of all samples, sample 0 of question 0 alone is after
its thoughts. Where all are to end, the same batch may write no more tokens than the others do.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch

from ...models import EngineOptions, LatentSettings, ModelError
from ...models.tokens import LatentTokens
from .measures import Run, Spread, interleaved
from .setup import Setup
from .work import Work

QUESTIONS = 8
SAMPLES = 64
TOKENS = 512  # of the endless answer
_END_PULL = 40.0  # lengths of vectors, where a usual embedding's is about half
_STAY_PULL = 12.0
_FREE = -32  # tokens from here on are in no prompt
_RIDGE = 1e-3  # of the mean square of a state's elements


def compare_endless(
    setup: Setup, *, questions: int = QUESTIONS, samples: int = SAMPLES, tokens: int = TOKENS
) -> Iterator[dict[str, Any]]:
    """Measure a batch in which one sample never ends against one in which all end, under noise.

    Args:
        setup: sizes, lengths, rounds and the place; its samplers and counts are not used.
        questions: B.
        samples: N.
        tokens: most answer tokens, which the endless sample reaches.

    Yields:
        One row; `ratio_to_ending` is the time over that of the batch in which all end, and
        `ratio_without_drafts` the same where no tokens are drafted: the endless answer repeats
        itself, as such answers nearly always do, and one that does not has no use of drafts.

    Raises:
        ModelError: see `endless_ways`.
    """
    ways = endless_ways(setup, questions=questions, samples=samples, tokens=tokens)
    taken = interleaved(setup.device, ways, rounds=setup.rounds)
    yield {
        "samples": questions * samples,
        "endless_tokens": tokens,
        **Spread.of(taken["ending"]).fields("ending_s"),
        **Spread.of(taken["endless"]).fields("endless_s"),
        **Spread.of_ratios(taken["endless"], taken["ending"]).fields("ratio_to_ending"),
        **Spread.of_ratios(taken["without drafts"], taken["ending"]).fields("ratio_without_drafts"),
    }


def endless_ways(setup: Setup, *, questions: int, samples: int, tokens: int) -> dict[str, Run]:
    """Return the batch in which all end, that in which one does not, and this without drafts.

    Raises:
        ModelError: a model so small that its samples cannot be told apart, or fewer than two answer
            tokens.
    """
    usual = setup.work.answer_tokens
    if usual < 2:
        raise ModelError(
            f"answer_tokens={usual}; allowed are at least 2, so that the end comes after the token "
            "that tells the samples apart. Raise --answer-tokens."
        )
    work = replace(setup.work, questions=questions, answer_tokens=tokens)
    input_ids = work.prompts().to(setup.device)
    model = endless_model(setup, work, input_ids, samples)
    endless = work.settings(model, "noise", samples)
    ending = replace(endless, max_new_tokens=setup.work.new_tokens)
    _check(model, input_ids, endless, [tokens] + [usual] * (questions * samples - 1))

    def run(settings: LatentSettings, *, drafts: bool = True) -> None:
        model.engine = EngineOptions(drafts=drafts)
        model.generate(input_ids, **vars(settings))

    return {
        "ending": lambda: run(ending),
        "endless": lambda: run(endless),
        "without drafts": lambda: run(endless, drafts=False),
    }


def endless_model(setup: Setup, work: Work, input_ids: torch.Tensor, samples: int) -> Any:
    """Return a model whose sample 0 of question 0 never ends, and whose others end in time.

    Args:
        setup: when the others end, and the place.
        work: sizes, and positions enough for the endless sample.
        input_ids: i64[B, P].
        samples: N.
    """
    model = work.model(setup.device, setup.dtype)
    settings = work.settings(model, "noise", samples)
    settings = replace(settings, max_new_tokens=setup.work.new_tokens)
    states = torch.cat([_answering(model, ids, settings) for ids in input_ids.split(1)])
    states = states.flatten(0, 1)
    stay = work.vocabulary - 1
    end = stay - 1 - _unlikeliest(states, model.get_input_embeddings().weight[_FREE:-1].flip(0))
    # Anew, because the engine may have kept the weights in an order of its own.
    model = work.model(setup.device, setup.dtype)
    own = model.latent_tokens
    model.latent_tokens = LatentTokens(own.end, own.placeholder, eos=(end,), pad=own.pad)
    words, places = model.get_input_embeddings().weight.data, model.base_model.wpe.weight.data
    pull = words[end] / words[end].norm()
    last = work.prompt_tokens + work.thoughts + setup.work.answer_tokens - 1
    places[last:] += _END_PULL * pull
    words[stay] = _STAY_PULL * _apart(states, pull).to(words.dtype)
    return model


def _answering(model: Any, input_ids: torch.Tensor, settings: LatentSettings) -> torch.Tensor:
    """Return the last hidden states f[N, A, D] from which a question's answers are chosen."""
    output = model.generate(input_ids, return_dict_in_generate=True, **vars(settings))
    embed = model.get_input_embeddings()
    prompts = embed(input_ids).repeat_interleave(settings.num_return_sequences, dim=0)
    start = input_ids.shape[1] + settings.thought_limit
    said = embed(output.sequences[:, start:-1])
    inputs = torch.cat((prompts, output.latent_thoughts.to(said), said), dim=1)
    with torch.no_grad():
        states = model.base_model(inputs_embeds=inputs, use_cache=False).last_hidden_state
    return states[:, start:]


def _unlikeliest(states: torch.Tensor, words: torch.Tensor) -> int:
    """Return which of the embeddings f[V, D] the states f[S, D] are least about to say."""
    return int((states @ words.T).amax(dim=0).argmin())


def _apart(states: torch.Tensor, pull: torch.Tensor) -> torch.Tensor:
    """Return a unit vector f[D] along which the first of the states f[S, D] stands apart.

    By least squares: 1 for the first, which weighs as much as all others together, and -1 for
    these. It is at right angles to `pull` f[D].
    """
    states, pull = states.double(), pull.double()
    states = states - (states @ pull).unsqueeze(1) * pull
    target = -torch.ones_like(states[:, 0])
    weight = torch.ones_like(target)
    target[0], weight[0] = 1.0, len(target) ** 0.5
    scaled = states * weight.unsqueeze(1)
    square = scaled.T @ scaled
    square.diagonal().add_(_RIDGE * square.diagonal().mean())
    found = torch.linalg.solve(square, scaled.T @ (target * weight))
    found = found - (found @ pull) * pull
    return found / found.norm()


def _check(
    model: Any, input_ids: torch.Tensor, settings: LatentSettings, lengths: list[int]
) -> None:
    output = model.generate(input_ids, return_dict_in_generate=True, **vars(settings))
    found = output.answer_lengths.tolist()
    if found != lengths:
        wrong = sum(one != other for one, other in zip(found, lengths, strict=True))
        raise ModelError(
            f"{wrong} of {len(found)} samples do not end where they should: a model of "
            f"width={model.config.n_embd} cannot tell one sample from the others. Raise --width."
        )
