"""Soft labels: the thoughts that stage 1 of Latent-SFT makes of written chains, in a file."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from ...files import write_at_once
from ..backbones.mixture import Mixture
from ..errors import ModelError
from ..identity import digest, tensors_digest
from .course import Example

FILE = "labels/soft_labels.safetensors"
"""In the folder of the checkpoint that stage 2 starts from."""
_KIND = "latent-tts soft labels 1"


def example_key(example: Example) -> int:
    """Return a number that tells an example from others."""
    text = json.dumps([example.question, *example.steps, example.answer])
    return int(digest([text.encode()])[:15], 16)


@dataclass(frozen=True)
class SoftLabels:
    """The thoughts of n examples, T of them in all.

    Attributes:
        keys: i64[n], the examples' own.
        ends: i64[n], behind which thought an example's end.
        ids: i32[T, K], the tokens that a thought is mixed of, the likeliest first.
        shares: f16[T, K], their weights.
        rate: tokens of the chain that a thought stands for.
        start: digests of the weights that stage 2 starts from.
    """

    keys: torch.Tensor
    ends: torch.Tensor
    ids: torch.Tensor
    shares: torch.Tensor
    rate: int
    start: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def gather(
        cls, examples: Sequence[Example], thoughts: Sequence[Mixture], rate: int
    ) -> "SoftLabels":
        """Return the labels of examples, from the thoughts of each."""
        return cls(
            keys=torch.tensor([example_key(example) for example in examples]),
            ends=torch.tensor([len(one.ids) for one in thoughts]).cumsum(0),
            ids=torch.cat([one.ids for one in thoughts]).int(),
            shares=torch.cat([one.weights for one in thoughts]).half(),
            rate=rate,
        )

    @property
    def size(self) -> int:
        """K, the tokens of a mixture."""
        return self.ids.shape[1]

    @cached_property
    def digest(self) -> str:
        """Of all that is learned from."""
        return tensors_digest(self._tensors())

    @cached_property
    def _slices(self) -> dict[int, slice]:
        ends = self.ends.tolist()
        starts = [0, *ends][: len(ends)]
        return {
            key: slice(start, end)
            for key, start, end in zip(self.keys.tolist(), starts, ends, strict=True)
        }

    def _tensors(self) -> dict[str, torch.Tensor]:
        return {name: getattr(self, name) for name in ("keys", "ends", "ids", "shares")}

    def of(self, example: Example) -> Mixture:
        """Return an example's thoughts; ModelError where it has none."""
        where = self._slice(example)
        shares = self.shares[where].float()
        weights = shares / shares.sum(dim=-1, keepdim=True)
        return Mixture(self.ids[where].long(), weights.log())

    def _slice(self, example: Example) -> slice:
        where = self._slices.get(example_key(example))
        if where is None:
            raise ModelError(
                f"The soft labels have no thoughts for the example {example.question[:60]!r}: they "
                "were made of other data. Give both stages the same data, or run stage 1 again."
            )
        return where

    def write(self, file: Path, start: Mapping[str, str]) -> None:
        """Write the labels, bound to the weights that stage 2 starts from."""
        about = {
            "kind": _KIND,
            "rate": str(self.rate),
            "start": json.dumps(dict(start)),
            "digest": self.digest,
        }
        file.parent.mkdir(exist_ok=True)
        write_at_once(file, save(self._tensors(), about))

    def check(
        self, file: str, examples: Sequence[Example], start: Mapping[str, str], size: int
    ) -> None:
        """Raise ModelError where the labels are not those of these examples and this model.

        Args:
            file: as the user gave it.
            examples: what is learned from.
            start: digests of the weights that stage 2 starts from.
            size: tokens that a thought is to be mixed of.
        """
        if self.size != size:
            raise ModelError(
                f"soft_labels={file!r} mix {self.size} tokens to a thought, and thought_tokens is "
                f"{size}. Say thought_tokens: {self.size}, or run stage 1 with soft_label_size: "
                f"{size}."
            )
        if dict(self.start) != dict(start):
            raise ModelError(
                f"soft_labels={file!r} were made for other weights ({_short(self.start)}) than "
                f"those that this training starts from ({_short(start)}). Start from the "
                "checkpoint beside which they lie, or run stage 1 again."
            )
        for example in examples:
            self._slice(example)


def _short(start: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value[:12]}…" for name, value in start.items())


def read_soft_labels(file: str) -> SoftLabels:
    """Read soft labels; those of a file that did not change are read once.

    Raises:
        ModelError: there is no such file, it is no soft labels', or it was damaged.
    """
    try:
        return _read(file, Path(file).stat().st_mtime_ns)
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise ModelError(
            f"soft_labels={file!r} cannot be read as soft labels: {error}. Give the {FILE} that "
            "training with objective latent_sft_labels leaves beside its checkpoint."
        ) from error


@lru_cache(maxsize=2)
def _read(file: str, _changed: int) -> SoftLabels:
    with safe_open(file, framework="pt") as opened:
        about = opened.metadata() or {}
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    if about.get("kind") != _KIND:
        raise ValueError(f"it says that it is {about.get('kind')!r}, not {_KIND!r}")
    if tensors_digest(tensors) != about["digest"]:
        raise ValueError("its content is not what was written")
    return SoftLabels(**tensors, rate=int(about["rate"]), start=json.loads(about["start"]))
