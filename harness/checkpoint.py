"""Options that say which checkpoint is loaded, on every command line alike."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ..models import BACKBONES, AutoLatentModel
from ..models.formats import SourceOptions


@dataclass(frozen=True, kw_only=True)
class CheckpointOptions:
    """What the files of a checkpoint do not say.

    Attributes:
        backbone: where its config.json does not tell, such as latent_sft.
        adapter: folder or hub id of a peft adapter of the checkpoint, added to its weights.
        base: folder, hub id or name of the language model that was trained.
        lora_alpha: numerator of the scale of a low-rank update.
        thinking_speed: what stands in CoLaR's prompt, 1 to 5 or auto.
        embeds_std: CoLaR's standard deviation of the base's embeddings.
        revision: of a hub repository.
    """

    backbone: str | None = None
    adapter: str | None = None
    base: str | None = None
    lora_alpha: float | None = None
    thinking_speed: str | None = None
    embeds_std: float | None = None
    revision: str = "main"

    def __post_init__(self) -> None:
        """Check the backbone's name, before anything is loaded."""
        if self.backbone is not None:
            BACKBONES[self.backbone]

    @classmethod
    def among(cls, told: Mapping[str, Any]) -> "CheckpointOptions":
        """Return what stands among other arguments that a model was built from."""
        names = {field.name for field in fields(cls)}
        return cls(**{name: v for name, v in told.items() if name in names and v is not None})

    def unseen(self) -> dict[str, object]:
        """Return what changes the model though no file and no prompt of it tells, for records."""
        found = {name: getattr(self, name) for name in ("lora_alpha", "embeds_std")}
        return {name: value for name, value in found.items() if value is not None}

    def load(self, pretrained: str, *, latent_length: int | None = None, **others: Any) -> Any:
        """Load the checkpoint.

        Args:
            pretrained: a folder, a hub id, or the name of one that ships.
            latent_length: number of thoughts, which some layouts' files do not say.
            **others: of `AutoLatentModel.from_pretrained`, such as `device_map`.

        Raises:
            ModelError: it cannot be loaded.
        """
        return AutoLatentModel.from_pretrained(
            pretrained,
            backbone=self.backbone,
            adapter=self.adapter,
            source=SourceOptions(
                base=self.base,
                latent_length=latent_length,
                lora_alpha=self.lora_alpha,
                thinking_speed=self.thinking_speed,
                embeds_std=self.embeds_std,
            ),
            revision=self.revision,
            **others,
        )
