"""A folder that holds a peft adapter and not its base."""

from typing import ClassVar

import msgspec

from ..backbones import BACKBONES
from ..errors import ModelError
from ..merge import merge_adapters
from .files import Source
from .layout import Base, Checkpoint, SourceOptions, known_length


class AdapterFolder:
    """`adapter_config.json` with `adapter_model.safetensors`, over a plain language model."""

    title: ClassVar[str] = "a peft adapter (adapter_config.json)"

    def recognises(self, source: Source) -> bool:
        """Return whether there is a config of an adapter and none of a model."""
        folder = source.root
        return (folder / "adapter_config.json").is_file() and not (folder / "config.json").is_file()

    def read(self, source: Source, options: SourceOptions) -> Checkpoint:
        """Return the checkpoint, the adapter merged into its base by peft.

        Raises:
            ModelError: no base, one that does not fit, or no method.
        """
        named = _config(source)
        if not list(source.root.glob("adapter_model.*")):
            raise ModelError(
                f"{source.name!r} has adapter_config.json and no adapter_model.safetensors (or "
                ".bin): the adapter's weights are missing. Copy the whole folder."
            )
        base = Base.load(
            options.base or named.base_model_name_or_path,
            source,
            what="an adapter whose adapter_config.json names no base.",
            example="HuggingFaceTB/SmolLM2-135M-Instruct",
        )
        if options.backbone is None:
            raise ModelError(
                f"{source.name!r} is a peft adapter over {base.name!r}, a plain language model: "
                "say by which method it thinks, as backbone=coconut."
            )
        method = BACKBONES[options.backbone]
        length = None if method.chooses_length else known_length(options, source)
        weights = dict(merge_adapters(base.model(), str(source.root), base.name).state_dict())
        base.check(weights, source)
        return Checkpoint(
            method=options.backbone,
            config=base.config,
            weights=weights,
            tokenizer=base.tokenizer,
            base_commit=base.commit,
            generation={"latent_length": length},
            files={
                "weights": tuple(sorted(source.root.glob("adapter_model.*"))),
                "base": base.files(),
            },
            found=(
                f"{self.title} of type {named.peft_type} and rank {named.r}, merged",
                f"base {base.name}",
            ),
        )


def _config(source: Source) -> "_Config":
    """Return what adapter_config.json says.

    Raises:
        ModelError: it is no JSON object, or its fields are of other kinds.
    """
    try:
        return msgspec.json.decode((source.root / "adapter_config.json").read_bytes(), type=_Config)
    except (msgspec.DecodeError, OSError) as error:
        raise ModelError(
            f"The adapter_config.json of {source.name!r} cannot be read ({error}): it must be what "
            "peft's save_pretrained wrote, with peft_type, r and target_modules."
        ) from error


class _Config(msgspec.Struct):
    peft_type: str
    base_model_name_or_path: str | None = None
    r: int | None = None
