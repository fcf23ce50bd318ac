"""What a sampler is: a frozen dataclass whose fields are the parameters that users type."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch

from ..backbones.mixture import Mixture
from ..backbones.protocol import LatentBackbone, Readable
from ..errors import ModelError
from ..fields import check_fields
from .randomness import Draw


class Reading:
    """What a sampler does to the forward passes while rows are read; by itself nothing."""

    def address(
        self, keys: torch.Tensor, positions: torch.Tensor, active: torch.Tensor | None = None
    ) -> None:
        """Say which rows and positions the coming forward pass computes.

        Args:
            keys: i64[R], the rows' keys.
            positions: i64[R, S], the position of each input.
            active: bool[R], rows that are sampled in this pass; all if None.
        """

    def rest(self, keys: torch.Tensor, positions: torch.Tensor) -> None:
        """Say that in the coming forward pass no row is sampled; as `address`, but cheaper.

        Args:
            keys: i64[R], the rows' keys.
            positions: i64[R, S], the position of each input.
        """
        self.address(keys, positions, torch.zeros_like(keys, dtype=torch.bool))


@dataclass(frozen=True, kw_only=True)
class Sampler:
    """Deterministic thinking, and the interface of what makes thoughts random.

    A subclass is a frozen dataclass. Its fields are its parameters, with names of their own among
    all samplers (`noise_std`), made by `models.fields` (`real`, `choice`, `integer`, `flag`) so
    that they say what they allow. It overrides `think`, or changes forward passes by `installed`.

    Attributes:
        name: what users type, `latent_do_sample_by=noise`.
        strength: the parameter that reports label a run's randomness by.
        released: backbone -> parameters of its released evaluation, where they are not the
            defaults.
        before_cut: whether `weigh` is given all tokens that a mixture may be made of, before the
            largest of them are chosen.
        since: parameters that runs of earlier versions did not record, and what those runs had:
            at that value they are left out of records, so that old and new runs compare.
    """

    name: ClassVar[str] = "none"
    strength: ClassVar[str] = ""
    released: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    since: ClassVar[Mapping[str, Any]] = {}
    before_cut: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Check every parameter."""
        check_fields(self)

    def record(self) -> dict[str, Any]:
        """Return the parameters as a run records them."""
        return {
            name: value
            for name, value in asdict(self).items()
            if name not in self.since or value != self.since[name]
        }

    def check(self, backbone: LatentBackbone) -> None:
        """Raise ModelError where the backbone lacks what the sampler needs."""

    def varies(self, backbone: LatentBackbone, thoughts: int) -> bool:
        """Whether two samples of one question can differ, with at most so many thoughts."""
        return False

    @property
    def ending_temperature(self) -> float:
        """Temperature at which a token that may end thinking is drawn; the likeliest at 0."""
        return 0.0

    @property
    def prompt_varies(self) -> bool:
        """Whether each sample must read the prompt by itself."""
        return False

    @property
    def reading_varies(self) -> bool:
        """Whether what a sample has read changes its next thought at random."""
        return False

    @contextmanager
    def installed(self, model: Readable) -> Iterator[Reading]:
        """Change the model's forward passes within the context, and undo it after."""
        yield Reading()

    def weigh(self, mixture: Mixture, draw: Draw) -> Mixture:
        """Return other weights of the tokens that thoughts are mixed of, before they are mixed.

        Args:
            mixture: of R rows.
            draw: random numbers at the rows' addresses.
        """
        return mixture

    def think(self, backbone: LatentBackbone, hidden: torch.Tensor, draw: Draw) -> torch.Tensor:
        """Return the next thoughts.

        Args:
            backbone: turns hidden states into thoughts.
            hidden: f[R, D], the last hidden state of each row, or its mixture where the backbone
                mixes tokens.
            draw: random numbers at the rows' addresses.

        Returns:
            f[R, D], the input embeddings to feed.
        """
        return backbone.next_thought(hidden)


def check_mixes(sampler: Sampler, backbone: LatentBackbone) -> None:
    """Raise ModelError for a backbone that mixes nothing whose weights a sampler could change."""
    if backbone.mixing is None:
        raise ModelError(
            f"latent_do_sample_by={sampler.name} changes the weights of the tokens that a thought "
            f"is mixed of, and a thought of {backbone.backbone} is no mixture. Use noise or "
            "dropout, or a backbone that mixes, such as latent_sft."
        )
