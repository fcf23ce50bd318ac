"""What makes thoughts random: one small class each, in one table.

A sampler may act on a forward pass (dropout) or on a thought (noise). To add one: write a subclass
of `Sampler`, and enter it in `SAMPLERS`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from . import randomness
from .errors import ModelError

# Of masks that are drawn together: few launches for few rows, and little memory for many.
_MASK_ELEMENTS = 1 << 20


class Sampler:
    """Deterministic thinking, and the interface of the others."""

    def __init__(self, settings: Any) -> None:
        """Keep the resolved `LatentSettings`."""
        self.settings = settings

    @staticmethod
    def varies(settings: Any, backbone: Any) -> bool:
        """Whether two samples of one question can differ under these settings."""
        return False

    @property
    def prompt_varies(self) -> bool:
        """Whether each sample must read the prompt by itself."""
        return False

    @property
    def reading_varies(self) -> bool:
        """Whether what a sample has read changes its next thought at random."""
        return False

    @contextmanager
    def installed(self, model: nn.Module) -> Iterator[None]:
        """Change the model's forward passes within the context, and undo it after."""
        yield

    def address(
        self, keys: torch.Tensor, positions: torch.Tensor, active: torch.Tensor | None = None
    ) -> None:
        """Say which rows and positions the coming forward pass computes.

        Args:
            keys: i64[R], the rows' keys.
            positions: i64[R, S], the position of each input.
            active: bool[R], rows that are sampled in this pass; all if None.
        """

    def perturb(
        self, thought: torch.Tensor, keys: torch.Tensor, positions: torch.Tensor
    ) -> torch.Tensor:
        """Return the thoughts f[R, D] to feed at `positions` i64[R] of the rows `keys` i64[R]."""
        return thought


class NoiseSampler(Sampler):
    """Additive Gaussian noise: h* = h + eps, eps ~ N(0, sigma^2 I) (arXiv 2510.07745, 3.2)."""

    @staticmethod
    def varies(settings: Any, backbone: Any) -> bool:
        """Noise varies where sigma > 0 and there is a thought to add it to."""
        return settings.noise_std > 0 and settings.thought_limit > 0

    def perturb(
        self, thought: torch.Tensor, keys: torch.Tensor, positions: torch.Tensor
    ) -> torch.Tensor:
        """Add sigma times the addressed standard normal numbers."""
        noise = randomness.normal(keys, positions, site=0, size=thought.shape[-1])
        return thought + self.settings.noise_std * noise.to(thought.dtype)


class DropoutSampler(Sampler):
    """Monte-Carlo dropout: Bernoulli masks on block outputs while reading (arXiv 2510.07745, 3.1).

    A fresh mask for every position, and the survivors scaled by 1 / (1 - p).
    """

    def __init__(self, settings: Any) -> None:
        """Start with no forward pass addressed."""
        super().__init__(settings)
        self._address: tuple[torch.Tensor, torch.Tensor, torch.Tensor | None] | None = None
        self._sites = 0
        self._masks: dict[tuple[int, int], torch.Tensor] = {}  # by site and size

    @staticmethod
    def varies(settings: Any, backbone: Any) -> bool:
        """Dropout varies where p > 0 and anything is read under it.

        Over thoughts only, that is all but the last of a fixed number of thoughts, unless the
        backbone's answers are read under dropout too.
        """
        anything = (
            settings.dropout_scope == "prompt_and_thoughts"
            or backbone.dropout_while_answering
            or settings.thought_limit >= 2
        )
        return settings.dropout_p > 0 and anything

    @property
    def prompt_varies(self) -> bool:
        """Whether the scope takes in the prompt."""
        return self.settings.dropout_scope == "prompt_and_thoughts" and self.settings.dropout_p > 0

    @property
    def reading_varies(self) -> bool:
        """Whether there is anything to drop."""
        return self.settings.dropout_p > 0

    @contextmanager
    def installed(self, model: Any) -> Iterator[None]:
        """Hook a mask after every module of the chosen site."""
        modules = _site_modules(model, self.settings.dropout_site)
        self._sites = len(modules)
        hooks = [
            module.register_forward_hook(self._hook(site)) for site, module in enumerate(modules)
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()
            self._address = None
            self._masks.clear()

    def address(
        self, keys: torch.Tensor, positions: torch.Tensor, active: torch.Tensor | None = None
    ) -> None:
        """Mask the coming pass at these addresses, or not at all where no row is active."""
        self._address = None
        self._masks.clear()
        if self.settings.dropout_p > 0 and (active is None or bool(active.any())):
            self._address = (keys.unsqueeze(-1).expand_as(positions), positions, active)

    def _hook(self, site: int) -> Any:
        scale = 1 / (1 - self.settings.dropout_p)

        def mask(module: nn.Module, args: Any, output: torch.Tensor) -> torch.Tensor | None:
            if self._address is None:
                return None
            keys, positions, active = self._address
            dropped = output * self._keep(keys, positions, site, output.shape[-1]) * scale
            if active is None:
                return dropped
            return torch.where(active[:, None, None], dropped, output)

        return mask

    def _keep(
        self, keys: torch.Tensor, positions: torch.Tensor, site: int, size: int
    ) -> torch.Tensor:
        """Return the mask bool[R, S, size] of a site, drawn together with those of the next."""
        if (site, size) not in self._masks:
            together = max(1, _MASK_ELEMENTS // (positions.numel() * size))
            sites = range(site, min(site + together, self._sites))
            found = randomness.bernoulli(
                keys,
                positions,
                site=torch.tensor(sites, device=keys.device),
                size=size,
                p=self.settings.dropout_p,
            )
            self._masks = dict(zip(((place, size) for place in sites), found, strict=True))
        return self._masks[site, size]


def _site_modules(model: Any, site: str) -> list[nn.Module]:
    """Return the modules of a dropout site, in the model's order.

    Raises:
        ModelError: the backbone names none, so that nothing would be dropped.
    """
    ends = model.dropout_modules.get(site, ())
    ends = (ends,) if isinstance(ends, str) else tuple(ends)
    found = [module for name, module in model.named_modules() if name.endswith(ends)]
    if not found:
        names = {name.rpartition(".")[2] for name, _ in model.named_modules() if "." in name}
        raise ModelError(
            f"dropout_site={site}: no module of {type(model).__name__} ends with "
            f"{' or '.join(ends) or 'anything'}, so nothing would be dropped. Its dropout_modules "
            f"must give for {site} the ends of modules' names, of which there are "
            f"{', '.join(sorted(names))}."
        )
    return found


SAMPLERS: dict[str, type[Sampler]] = {"dropout": DropoutSampler, "noise": NoiseSampler}


def make_sampler(settings: Any) -> Sampler:
    """Return the sampler that the resolved settings name."""
    kind = SAMPLERS[settings.latent_do_sample_by] if settings.latent_do_sample else Sampler
    return kind(settings)
