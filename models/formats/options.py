"""What users say of a checkpoint that its files do not."""

import math
from dataclasses import dataclass

from ..errors import ModelError
from ..fields import integer_range

SPEEDS = ("1", "2", "3", "4", "5", "auto")
"""What may stand in CoLaR's prompt as the thinking speed."""


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """What cannot be told from the files of some layouts.

    Attributes:
        base: folder, hub id or name (`smollm2`) of the language model that was trained: for its
            config, its tokenizer and, where the file holds an adapter only, its weights.
        latent_length: number of thoughts T that the model was trained to think.
        lora_alpha: numerator of the scale of a low-rank update; its rank is in the file.
        thinking_speed: what stands in CoLaR's prompt: 1 to 5 or `auto`.
        embeds_std: CoLaR's standard deviation of the base's embeddings.
        backbone: the method of an adapter on a plain language model.
    """

    base: str | None = None
    latent_length: int | None = None
    lora_alpha: float | None = None
    thinking_speed: str | int | None = None
    embeds_std: float | None = None
    backbone: str | None = None

    def __post_init__(self) -> None:
        """Check what can be known without the files.

        Raises:
            ModelError: a value out of its range.
        """
        speed = self.thinking_speed
        if isinstance(speed, int):
            speed = str(speed)
            object.__setattr__(self, "thinking_speed", speed)
        if speed is not None and speed not in SPEEDS:
            raise ModelError(f"thinking_speed={speed!r}; allowed are {', '.join(SPEEDS)}.")
        for name in ("lora_alpha", "embeds_std"):
            value = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if value is not None and not (number and 0 < value < math.inf):
                raise ModelError(f"{name}={value!r}; allowed is a finite number above 0.")
        if self.latent_length is not None:
            integer_range(least=0).check("latent_length", self.latent_length)

    def given(self) -> dict[str, object]:
        """Return what was said, by name."""
        return {name: value for name, value in vars(self).items() if value is not None}
