"""The model of a run, loaded again as the run asked it."""

import re
from typing import Any

from transformers import PreTrainedTokenizerBase

from ..models import AutoLatentModel, tokenizer_of
from ..models.formats import SourceOptions
from ..results import ResultsError, RunConfig

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
    format_ = config.prompt_format
    speed = _SPEED.search(format_ or "") if config.backbone == "colar" else None
    model = AutoLatentModel.from_pretrained(
        pretrained or config.checkpoint,
        backbone=config.backbone,
        dtype=(config.dtype or "").removeprefix("torch.") or None,
        source=SourceOptions(thinking_speed=speed[1] if speed else None),
    )
    tokenizer = tokenizer_of(model)
    own = model.format_prompt("{question}")
    if format_ is not None and own != format_:
        raise ResultsError(
            f"The run asked {format_!r}, and {pretrained or config.checkpoint} asks {own!r}: its "
            "samples are of other prompts. Name the checkpoint that the run used, as it was then."
        )
    return model, tokenizer
