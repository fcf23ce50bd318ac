"""What every way is given: a GPT-2 with random weights, and prompts; and what that costs."""

from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from transformers import GPT2Config, set_seed

from ...models import COCONUTGPT2, LatentSettings, ModelError, load_tokenizer
from ...models.tokens import LatentTokens
from ...tasks.arith import generate

TOKENIZER = "tiny-coconut"
LEAST_VOCABULARY = 1200  # what the tokenizer knows, and some tokens that no prompt holds
_END, _PLACEHOLDER = 1, 2  # which tokens they are matters to none of the ways

# Sampler and scope of each setting.
SAMPLERS = {
    "noise": ("noise", "thoughts"),
    "dropout-thoughts": ("dropout", "thoughts"),
    "dropout-prompt-and-thoughts": ("dropout", "prompt_and_thoughts"),
}


@dataclass(frozen=True, kw_only=True)
class Work:
    """What every way is given.

    Attributes:
        layers, width, heads, vocabulary: sizes of the GPT-2.
        questions: B, in one batch.
        prompt_tokens: P of each.
        thoughts: T of each sample.
        answer_tokens: of each sample; no sample ends earlier.
        reasoning_tokens: before the answer of an explicit text. Reasoning in GSM8K's formulas takes
            about as many (arXiv 2412.06769, table 1).
        seed: of weights, problems and samples.

    Raises:
        ModelError: a width that the heads do not divide, or too small a vocabulary.
    """

    layers: int = 12
    width: int = 768
    heads: int = 12
    vocabulary: int = 50260
    questions: int = 2
    prompt_tokens: int = 65
    thoughts: int = 6
    answer_tokens: int = 10
    reasoning_tokens: int = 24
    seed: int = 0

    def __post_init__(self) -> None:
        """Check what the model could not be built with."""
        if self.width % self.heads:
            raise ModelError(
                f"width={self.width} with heads={self.heads}; allowed is a width that the heads "
                "divide. Change --width or --heads."
            )
        if self.vocabulary < LEAST_VOCABULARY:
            raise ModelError(
                f"vocabulary={self.vocabulary}; allowed are at least {LEAST_VOCABULARY} tokens, so "
                "that the prompts' tokens are among them. Raise --vocabulary."
            )

    @property
    def text_tokens(self) -> int:
        """Tokens of an explicit reasoning and its answer."""
        return self.reasoning_tokens + self.answer_tokens

    @property
    def new_tokens(self) -> int:
        """Thoughts, the end marker and the answer."""
        return self.thoughts + 1 + self.answer_tokens

    def settings(self, model: Any, sampler: str, count: int) -> LatentSettings:
        """Return the engine's settings for N = `count` samples."""
        kind, scope = SAMPLERS[sampler]
        return model.settings(
            latent_do_sample_by=kind,
            dropout_scope=scope,
            latent_length=self.thoughts,
            max_new_tokens=self.new_tokens,
            num_return_sequences=count,
            seed=self.seed,
        )

    def model(self, device: torch.device, dtype: torch.dtype) -> Any:
        """Return a COCONUT with random weights whose answers never end by themselves."""
        set_seed(self.seed)
        config = GPT2Config(
            vocab_size=self.vocabulary,
            n_embd=self.width,
            n_layer=self.layers,
            n_head=self.heads,
            n_positions=self.prompt_tokens + max(self.new_tokens, self.text_tokens),
            bos_token_id=None,
            eos_token_id=None,
        )
        model: Any = COCONUTGPT2(config)
        model.latent_tokens = LatentTokens(_END, _PLACEHOLDER, eos=(), pad=0)
        return model.to(device, dtype).eval()

    def prompts(self) -> torch.Tensor:
        """Return i64[B, P]: each a problem, and the next ones after it, cut to P tokens."""
        tokenizer: Any = load_tokenizer(TOKENIZER)
        count = self.questions + self.prompt_tokens  # no problem has no token
        problems = list(generate(split="validation", count=count, seed=self.seed))
        prompts = []
        for place in range(self.questions):
            ids: list[int] = []
            for problem in islice(problems, place, None):
                ids += tokenizer.encode(problem.question)
                if len(ids) >= self.prompt_tokens:
                    break
            prompts.append(ids[: self.prompt_tokens])
        return torch.tensor(prompts)


def needed(model: Any, work: Work, sampler: str, count: int) -> tuple[int, float]:
    """Return the token-forwards and the floating-point operations that a batch must take.

    The prompt is read once a question, or once a sample where dropout makes each read it
    differently; the last answer token is not read. Matrix products alone are counted, two
    operations for each multiply and add: all layers for every token read, attention to itself and
    what stands before it, and the language-model head once for each answer token.

    Args:
        model: of `work`.
        work: sizes and lengths.
        sampler: a name in `SAMPLERS`.
        count: N.
    """
    samples = work.questions * count
    reads = samples if SAMPLERS[sampler] == ("dropout", "prompt_and_thoughts") else work.questions
    fed = work.new_tokens - 1
    forwards = reads * work.prompt_tokens + samples * fed
    weights = sum(
        parameter.numel() for parameter in model.base_model.h.parameters() if parameter.dim() == 2
    )
    attended = reads * sum(range(1, work.prompt_tokens + 1)) + samples * sum(
        range(work.prompt_tokens + 1, work.prompt_tokens + fed + 1)
    )
    head = samples * work.answer_tokens * work.width * work.vocabulary
    return forwards, 2.0 * (forwards * weights + 2 * attended * work.layers * work.width + head)
