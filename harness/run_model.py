"""The model of a run, loaded again as the run asked it."""

import re
from typing import Any

from transformers import PreTrainedTokenizerBase

from ..models import AutoLatentModel, LatentSettings, tokenizer_of
from ..models.formats import SourceOptions
from ..models.settings import setting_names
from ..results import ResultsError, RunConfig

# Of a record's settings, what comes from others or is no setting of samples.
_NOT_GIVEN = ("num_beams", "num_beam_candidates")
_SPEED = re.compile(r"\(Thinking speed: (\w+)\)")


def load_run_model(
    config: RunConfig, pretrained: str | None = None
) -> tuple[Any, PreTrainedTokenizerBase]:
    """Return the backbone of a run and its tokenizer.

    Args:
        config: of the run.
        pretrained: the backbone, where the run names one that is not here.

    Raises:
        ModelError: it cannot be loaded.
        ResultsError: it asks questions in another prompt format than the run did.
    """
    asked, name = config.prompt_format, pretrained or config.checkpoint
    dtype = (config.dtype or "").removeprefix("torch.") or None
    model = AutoLatentModel.from_pretrained(name, backbone=config.backbone, dtype=dtype)
    speed = _SPEED.search(asked or "") if config.backbone == "colar" else None
    if speed and model.format_prompt("{question}") != asked:
        source = SourceOptions(thinking_speed=speed[1])
        model = AutoLatentModel.from_pretrained(
            name, backbone=config.backbone, dtype=dtype, source=source
        )
    tokenizer = tokenizer_of(model)
    own = model.format_prompt("{question}")
    if asked is not None and own != asked:
        raise ResultsError(
            f"The run asked {asked!r}, and {name} asks {own!r}: its "
            "samples are of other prompts. Name the checkpoint that the run used, as it was then."
        )
    return model, tokenizer


def run_settings(model: Any, config: RunConfig) -> LatentSettings:
    """Return the settings of a run's samples, by which a store knows them; without beams.

    Args:
        model: of the run.
        config: likewise.
    """
    known = set(setting_names()) - set(_NOT_GIVEN)
    given = {k: v for k, v in config.settings.items() if k in known and v is not None}
    settings: LatentSettings = model.settings(**given)
    return settings
