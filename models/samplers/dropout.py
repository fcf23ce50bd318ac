"""Monte-Carlo dropout: Bernoulli masks on block outputs while reading (arXiv 2510.07745, 3.1)."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from torch import nn

from ..backbones.protocol import LatentBackbone, Readable
from ..errors import ModelError
from ..fields import choice, real
from . import randomness
from .protocol import Reading, Sampler

# Of masks that are drawn together: few launches for few rows, and little memory for many.
_MASK_ELEMENTS = 1 << 20
# The last layers of a block's two branches, by the ends of their names in transformers' decoders.
_FEED_FORWARD = (
    ".mlp.c_proj",  # GPT-2
    ".mlp.down_proj",  # Llama, Qwen, Mistral, Gemma, SmolLM
    ".mlp.dense_4h_to_h",  # GPT-NeoX, Falcon
    ".mlp.fc_out",  # GPT-J
    ".fc2",  # OPT, Phi
)
_ATTENTION = (
    ".attn.c_proj",
    ".self_attn.o_proj",
    ".attention.dense",
    ".self_attn.dense",
    ".attn.out_proj",
    ".self_attn.out_proj",
)
SITES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"feed_forward": _FEED_FORWARD, "residual": _FEED_FORWARD + _ATTENTION}
)


@dataclass(frozen=True, kw_only=True)
class Dropout(Sampler):
    """Drops elements of what blocks add to the residual stream; the others grow by 1 / (1 - p).

    Attributes:
        dropout_p: probability that an element is dropped.
        dropout_site: `feed_forward` (the paper's text, section 3.1) or `residual` (attention's and
            feed-forward's outputs, as in the released GPT-2 scripts).
        dropout_scope: `prompt_and_thoughts` (as released: every sample reads the prompt with masks
            of its own) or `thoughts` (one deterministic prompt serves all samples).
        dropout_mask: `step` (a fresh mask at every position) or `sample` (one mask for all
            positions of a trajectory, as in Dropout-GRPO, arXiv 2606.10184).
    """

    name: ClassVar[str] = "dropout"
    strength: ClassVar[str] = "dropout_p"
    released: ClassVar[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
        {
            "coconut": {"dropout_p": 0.2, "dropout_site": "residual"},
            "codi": {"dropout_p": 0.2, "dropout_site": "residual"},
            "colar": {"dropout_p": 0.03, "dropout_site": "feed_forward"},
        }
    )

    since: ClassVar[Mapping[str, Any]] = MappingProxyType({"dropout_mask": "step"})

    dropout_p: float = real(0.1, below=1.0)
    dropout_site: str = choice("feed_forward", "residual")
    dropout_scope: str = choice("prompt_and_thoughts", "thoughts")
    dropout_mask: str = choice("step", "sample")

    def varies(self, backbone: LatentBackbone, thoughts: int) -> bool:
        """Dropout varies where p > 0 and anything is read under it.

        Over thoughts only, that is all but the last of a fixed number of thoughts, unless the
        backbone's answers are read under dropout too.
        """
        return self.dropout_p > 0 and (
            self.dropout_scope == "prompt_and_thoughts"
            or backbone.dropout_while_answering
            or thoughts >= 2
        )

    @property
    def prompt_varies(self) -> bool:
        """Whether the scope takes in the prompt."""
        return self.dropout_scope == "prompt_and_thoughts" and self.dropout_p > 0

    @property
    def reading_varies(self) -> bool:
        """Whether there is anything to drop."""
        return self.dropout_p > 0

    @contextmanager
    def installed(self, model: Readable) -> Iterator[Reading]:
        """Hook a mask after every module of the chosen site."""
        modules = _site_modules(model, self.dropout_site)
        masks = _Masks(self.dropout_p, len(modules), fresh=self.dropout_mask == "step")
        hooks = [
            module.register_forward_hook(masks.hook(site)) for site, module in enumerate(modules)
        ]
        try:
            yield masks
        finally:
            for hook in hooks:
                hook.remove()


class _Masks(Reading):
    """The masks of the coming forward pass."""

    def __init__(self, p: float, sites: int, *, fresh: bool) -> None:
        """Start with no forward pass addressed."""
        self._p, self._sites, self._fresh = p, sites, fresh
        self._keys: torch.Tensor | None = None
        self._positions = torch.empty(0)
        self._active: torch.Tensor | None = None
        self._masks: dict[tuple[int, int], torch.Tensor] = {}  # by site and size

    def address(
        self, keys: torch.Tensor, positions: torch.Tensor, active: torch.Tensor | None = None
    ) -> None:
        """Mask the coming pass at these addresses."""
        self.rest(keys, positions)
        if self._p > 0:
            # One mask for a trajectory is addressed as if it stood at position 0.
            self._positions = positions if self._fresh else torch.zeros_like(positions[:, :1])
            self._keys = keys.unsqueeze(-1).expand_as(self._positions)
            self._active = active

    def rest(self, keys: torch.Tensor, positions: torch.Tensor) -> None:
        """Mask nothing in the coming pass."""
        self._keys = None
        self._masks.clear()

    def hook(self, site: int) -> Callable[..., torch.Tensor | None]:
        """Return the forward hook of one site."""
        scale = 1 / (1 - self._p)

        def mask(module: nn.Module, args: Any, output: torch.Tensor) -> torch.Tensor | None:
            if self._keys is None:
                return None
            dropped = output * self._kept(self._keys, site, output.shape[-1]) * scale
            if self._active is None:
                return dropped
            return torch.where(self._active[:, None, None], dropped, output)

        return mask

    def _kept(self, keys: torch.Tensor, site: int, size: int) -> torch.Tensor:
        """Return the mask bool[R, S, size] of a site, drawn together with those of the next."""
        if (site, size) not in self._masks:
            together = max(1, _MASK_ELEMENTS // (keys.numel() * size))
            sites = range(site, min(site + together, self._sites))
            found = randomness.bernoulli(
                keys,
                self._positions,
                site=torch.arange(sites.start, sites.stop, device=keys.device),
                size=size,
                p=self._p,
            )
            self._masks = dict(zip(((number, size) for number in sites), found, strict=True))
        return self._masks[site, size]


def _site_modules(model: Readable, site: str) -> list[nn.Module]:
    """Return the modules of a dropout site, in the model's order.

    Raises:
        ModelError: none is known, so that nothing would be dropped.
    """
    ends = getattr(model, "dropout_modules", {}).get(site, SITES[site])
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
