"""A slow, independent computation of what the engine should return.

One sample of one question at a time: plain transformers models, the projector and latent head by
torch's functions from the safetensors file, no cache, no padding; the sequence of input embeddings
is read again from its beginning for every new input. Random numbers come from
`models.samplers.randomness` at the documented addresses, and their keys from Python's integers.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch.nn import functional
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from latent_tts.models.samplers import randomness

WORD = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15


def splitmix(state: int) -> int:
    """SplitMix64's output function in Python's integers."""
    state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & WORD
    state = (state ^ state >> 27) * 0x94D049BB133111EB & WORD
    return state ^ state >> 31


def sample_key(seed: int, prompt: Sequence[int], sample: int) -> torch.Tensor:
    """The key i64[] of a sample of a question."""
    text = f"{seed}:{','.join(map(str, prompt))}".encode()
    question = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")
    key = splitmix((question + (sample + 1) * GOLDEN) & WORD)
    return torch.tensor(key - (1 << 64) if key >> 63 else key)


@dataclass(frozen=True)
class Dropout:
    """What the masks of a sample depend on."""

    p: float
    site: str
    scope: str
    key: torch.Tensor
    mask: str = "step"


@dataclass(frozen=True)
class Noise:
    """What the noise of a sample depends on."""

    std: float
    key: torch.Tensor


@dataclass(frozen=True)
class Answered:
    """The trajectory of one sample of one question."""

    sequence: list[int]
    thoughts: torch.Tensor
    truncated: bool
    answer: int


class Reference:
    """A plain transformers model that thinks in latents by hand."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind = kind
        self.weights = load_file(folder / "model.safetensors")
        self.model: Any = AutoModelForCausalLM.from_pretrained(folder).eval()
        # Eager attention, and with it another code path than the engine's.
        self.model.set_attn_implementation("eager")
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
        self.tokenizer = tokenizer
        self.eos = tokenizer.eos_token_id
        self.end = tokenizer.convert_tokens_to_ids("###" if kind == "colar" else "<|end-latent|>")
        self.latent = self.eos if kind == "colar" else tokenizer.convert_tokens_to_ids("<|latent|>")
        self.positions = self.model.config.max_position_embeddings
        self.size = self.model.config.hidden_size

    def next_thought(self, hidden: torch.Tensor) -> torch.Tensor:
        """The next input embedding f[D] after the last hidden state f[D]."""
        w = self.weights

        def linear(name: str, x: torch.Tensor) -> torch.Tensor:
            return w[f"{name}.weight"] @ x + w[f"{name}.bias"]

        def norm(name: str, x: torch.Tensor) -> torch.Tensor:
            x = (x - x.mean()) / torch.sqrt(x.var(correction=0) + 1e-5)
            return x * w[f"{name}.weight"] + w[f"{name}.bias"]

        if self.kind == "coconut":
            return hidden
        if self.kind == "codi":
            inner = functional.gelu(linear("projector.1", hidden))
            return norm("projector.4", linear("projector.3", inner))
        inner = linear("lt_head.fc.2", functional.gelu(linear("lt_head.fc.0", hidden)))
        std: float = getattr(self.model.config, "latent_embedding_std", 0.018)
        return std * linear("lt_head.mean", norm("lt_head.fc.3", inner))

    def embed(self, ids: Sequence[int]) -> list[torch.Tensor]:
        """The rows of the input embedding matrix."""
        return list(self.model.get_input_embeddings().weight[list(ids)])

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Logits f[V]; ids that the tokenizer has not are never answered."""
        known = self.model.get_output_embeddings().weight[: len(self.tokenizer)]
        return known @ hidden

    def hidden(
        self, inputs: list[torch.Tensor], masked: list[bool] | None = None, dropout: Any = None
    ) -> torch.Tensor:
        """The last hidden state f[D] after reading all inputs, those `masked` under dropout."""
        undo = [] if dropout is None else self._mask_branches(masked, dropout)
        try:
            read = self.model.base_model(inputs_embeds=torch.stack(inputs)[None], use_cache=False)
        finally:
            for module in undo:
                del module.forward
        return read.last_hidden_state[0, -1]

    def _mask_branches(self, masked: list[bool], dropout: Dropout) -> list[Any]:
        """Replace the forward method of every branch's last layer by a masked one."""
        gpt2 = self.model.config.model_type == "gpt2"
        branches = []
        for block in self.model.transformer.h if gpt2 else self.model.model.layers:
            if dropout.site == "residual":
                branches.append(block.attn.c_proj if gpt2 else block.self_attn.o_proj)
            branches.append(block.mlp.c_proj if gpt2 else block.mlp.down_proj)
        positions = torch.arange(len(masked))
        if dropout.mask == "sample":
            positions = torch.zeros_like(positions)
        for site, module in enumerate(branches):
            keep = randomness.bernoulli(
                dropout.key.expand(len(masked)), positions, site=site, size=self.size, p=dropout.p
            )
            scale = torch.where(
                torch.tensor(masked)[:, None], keep.float() / (1 - dropout.p), torch.tensor(1.0)
            )
            plain = module.forward
            module.forward = lambda x, plain=plain, scale=scale: plain(x) * scale
        return branches

    @torch.no_grad()
    def answer(
        self,
        prompt: Sequence[int],
        *,
        length: int | None = None,
        most: int | None = None,
        max_new_tokens: int,
        dropout: Dropout | None = None,
        noise: Noise | None = None,
    ) -> Answered:
        """Think `length` thoughts, or until the end marker is likeliest but `most`; then answer."""
        inputs = self.embed(prompt)
        masked = [dropout is not None and dropout.scope == "prompt_and_thoughts"] * len(prompt)
        thoughts: list[torch.Tensor] = []
        while len(thoughts) < (most if length is None else length):
            hidden = self.hidden(inputs, masked, dropout)
            if length is None and int(self.logits(hidden).argmax()) == self.end:
                break
            thoughts.append(self.next_thought(hidden))
            if noise is not None:
                at = torch.tensor(len(inputs))
                drawn = randomness.normal(noise.key, at, site=0, size=self.size)
                thoughts[-1] = thoughts[-1] + noise.std * drawn.float()
            inputs.append(thoughts[-1])
            # The last of a fixed number of thoughts is read as the answer is.
            masked.append(self.kind == "colar" or len(thoughts) < length)
        sequence = [*prompt, *[self.latent] * len(thoughts), self.end]
        inputs += self.embed([self.end])
        masked.append(self.kind == "colar")
        begin = len(sequence)
        limit = min(len(prompt) + max_new_tokens, self.positions)
        while sequence[-1] != self.eos and len(sequence) < limit:
            sequence.append(int(self.logits(self.hidden(inputs, masked, dropout)).argmax()))
            inputs += self.embed(sequence[-1:])
            masked.append(self.kind == "colar")
        stacked = torch.stack(thoughts) if thoughts else torch.zeros(0, self.size)
        return Answered(sequence, stacked, sequence[-1] != self.eos, len(sequence) - begin)

    @torch.no_grad()
    def replayed_thoughts(self, prompt: Sequence[int], thoughts: torch.Tensor) -> torch.Tensor:
        """What each thought would have been without noise, f[T, D], given those before it."""
        inputs = self.embed(prompt)
        clean = []
        for thought in thoughts:
            clean.append(self.next_thought(self.hidden(inputs)))
            inputs.append(thought)
        return torch.stack(clean)
