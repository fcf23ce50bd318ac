"""What `--model_args` say of the model itself, checked before a weight is loaded."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch

from ..models import EngineOptions, ModelError, choice, flag, integer
from ..models.fields import check_fields
from ..models.settings import check_names
from ..tasks import find_strategy
from .checkpoint import CheckpointOptions
from .lm_eval_seam import logger
from .stopping import STOP_NAMES

# Arguments that are names, whatever they look like.
NAMES = (
    *("pretrained", "base", "adapter", "thinking_speed", "revision"),
    *("reward_model", "reward_revision", "store"),
)
_OPTIONAL = ("base", "adapter", "thinking_speed", "reward_model", "store")
NO_STORE = "none"

# What this project took once -> what to say to those who still give it.
_GONE = {
    "drafts": "answers are no longer drafted. Leave it out",
    "torch_compile": "nothing is compiled any more. Leave it out",
}


@dataclass(frozen=True, kw_only=True)
class ModelArguments(CheckpointOptions):
    """What is loaded, where it runs, and how candidates become one text.

    Attributes:
        pretrained: a folder, a hub id, or the name of a checkpoint that ships.
        backbone, adapter, base, lora_alpha, thinking_speed, embeds_std, revision: see
            `CheckpointOptions`.
        dtype: such as bfloat16; float32 on a CPU and the checkpoint's own elsewhere unless given.
        device: such as `cuda:1`; the CPU, with a warning, where there is no such accelerator.
        batch_size: most questions in the batch, or `auto` for as many as fit.
        max_batch_size: the same under `auto`.
        ignore_weights: names of weights that may be left unread, joined by `+`.
        reward_model: a LatentRM that scores every candidate, and guides beam search.
        reward_revision: of the reward model's hub repository.
        any_reward_model: accept a reward model that was trained on another backbone.
        aggregation: how candidates become one text for tasks that do not ask for pools; `voting`
            unless given, or `beam_search` where `num_beams` asks for one.
        on_long_prompt: `error`, or `skip`: a question too long for the model counts as wrong.
        store: folder in which finished samples are kept, and from which a run goes on; `store`
            beside --output_path unless given, nowhere where there is none, or for `none`.
        store_thoughts: keep the thoughts too, in half precision, so that others may score them;
            of mixtures also ids and weights of their tokens, which the sample log has then too.
        nearest_tokens: how many tokens that each thought is nearest to go into the sample log and
            onto the run's page; 0 for none. The store keeps the thoughts then.
        packed_weights, max_rows: how samples are computed, see `EngineOptions`.

    Raises:
        ModelError: a value out of its range.
        TaskError: an unknown aggregation.
    """

    pretrained: str = "tiny-coconut"
    dtype: str | torch.dtype | None = None
    device: str | None = None
    batch_size: int | str | None = 1
    max_batch_size: int | str | None = None
    ignore_weights: str | Sequence[str] = ()
    reward_model: str | None = None
    reward_revision: str = "main"
    any_reward_model: bool = flag(False)
    aggregation: str | None = None
    on_long_prompt: str = choice("error", "skip")
    store: str | None = None
    store_thoughts: bool = flag(False)
    nearest_tokens: int = integer(0, least=0)
    packed_weights: bool = True
    max_rows: int | None = None

    def __post_init__(self) -> None:
        """Check what can be known without the checkpoint."""
        for name in NAMES:
            object.__setattr__(self, name, _read_name(getattr(self, name), name))
        if self.aggregation is not None:
            find_strategy(self.aggregation)
        for name in ("batch_size", "max_batch_size"):
            _read_batch_size(getattr(self, name), name)
        _known_device(self.device)
        check_fields(self)
        self.engine()

    def engine(self) -> EngineOptions:
        """Return how samples are computed."""
        return EngineOptions(packed_weights=self.packed_weights, max_rows=self.max_rows)

    def unseen(self) -> dict[str, object]:
        """Return what changes the model though no file and no prompt of it tells, for records."""
        ignored = self.ignore_weights
        names = ignored if isinstance(ignored, str) else "+".join(ignored)
        return super().unseen() | ({"ignore_weights": names} if names else {})

    @property
    def questions_together(self) -> int | None:
        """Most questions in the batch; None for as many as fit."""
        most = _read_batch_size(self.batch_size, "batch_size")
        return most or _read_batch_size(self.max_batch_size, "max_batch_size")


def split_arguments(given: Mapping[str, Any]) -> tuple[ModelArguments, dict[str, Any]]:
    """Return what --model_args say of the model, and the settings of samples among them.

    Raises:
        ModelError: a name that is neither, or that is no longer one.
    """
    kept = {name: _whole(value) for name, value in given.items() if name not in _GONE}
    for name in given.keys() - kept.keys():
        logger.warning("%s=%s has no effect: %s.", name, given[name], _GONE[name])
    if kept.pop("device_map", None) is not None:
        raise ModelError(
            f"device_map={given['device_map']!r}: a model runs on one device. Give device=, such "
            "as cuda:0, instead; to use several GPUs, run `accelerate launch -m lm_eval …`."
        )
    names = [field.name for field in fields(ModelArguments)]
    check_names(kept, also=[*names, *STOP_NAMES])
    own = {name: kept.pop(name) for name in names if name in kept}
    return ModelArguments(**own), kept


def _whole(value: Any) -> Any:
    """Return -1 for the -1.0 that lm-eval makes of a `-1` on its command line."""
    negative = isinstance(value, float) and value < 0 and value.is_integer()
    return int(value) if negative else value


def _read_name(value: object, name: str) -> str | None:
    """Return a name; a number is none, because it no longer says how it was typed (007, 0x10)."""
    if isinstance(value, str | Path) or (value is None and name in _OPTIONAL):
        return None if value is None else str(value)
    if name == "thinking_speed" and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise ModelError(
        f"{name}={value!r} is no name. Where a name looks like a number or the like, put it in "
        f'quotes: {name}: "007" in a --config file, {name}=\'"007"\' in a shell.'
    )


def _read_batch_size(value: int | str | None, name: str) -> int | None:
    """Return questions in a batch, None for automatic."""
    text = str(value)
    if value is None or re.fullmatch(r"auto(:\d+(\.\d+)?)?", text):
        return None
    if not text.isdecimal() or int(text) < 1:
        raise ModelError(
            f"{name}={value!r}; allowed are whole numbers of at least 1 (questions in a "
            "batch) and auto."
        )
    return int(text)


def _known_device(device: str | None) -> torch.device:
    """Return what torch makes of a device, whether it is here or not."""
    try:
        if device is None or isinstance(device, str):
            return torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    except RuntimeError:
        pass
    raise ModelError(
        f"device={device!r} is no device of torch; allowed are cpu, cuda, cuda:1 and the like."
    )


def read_device(device: str | None) -> torch.device:
    """Return the device: the CPU where the accelerator that is asked for is not here, with a word.

    Raises:
        ModelError: no device of torch.
    """
    wanted = _known_device(device)
    here = {"cuda": torch.cuda, "mps": torch.backends.mps, "xpu": torch.xpu}
    if wanted.type in here and not here[wanted.type].is_available():
        logger.warning("device=%s, but torch finds no such accelerator: using the CPU.", device)
        return torch.device("cpu")
    return wanted
