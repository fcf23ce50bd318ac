"""The stores of a run: one for each setting that its tasks ask for."""

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..models import LatentBackbone, LatentSettings
from ..models.identity import SAMPLING_VERSION, checkpoint_digest
from ..results.store import Store
from ..reward.model import LatentRewardHead
from .kept import Kept
from .lm_eval_seam import logger

# Of settings, what does not change which sample an index has.
_COUNTS = ("num_return_sequences", "num_beams", "num_beam_candidates")
# Bytes of a line without what is in it, and of a thought's number; of a mixed token, and a reward.
LINE_BYTES, NUMBER_BYTES = 160, 2
_MIXED, _REWARD = 8, 20


class Stores:
    """The stores of one model in one folder: one for each setting that its tasks ask for."""

    def __init__(
        self,
        root: Path,
        model: LatentBackbone,
        reward_model: LatentRewardHead | None,
        *,
        keep_thoughts: bool,
        need_thoughts: bool = False,
        need_mixtures: bool = False,
    ) -> None:
        """Take the folder as it is.

        Args:
            root: the folder.
            model: whose samples.
            reward_model: that of the run, if any.
            keep_thoughts: whether to keep thoughts too.
            need_thoughts: whether a sample without thoughts is none.
            need_mixtures: whether a sample of whose mixtures nothing is kept is none.
        """
        self._root, self._reward_model = root, reward_model
        self._need_thoughts, self._need_mixtures = need_thoughts, need_mixtures
        self._size = model.config.get_text_config().hidden_size if keep_thoughts else 0
        self._identity = {
            "checkpoint": checkpoint_digest(model),
            "config": _config(model),
            "backbone": model.backbone,
            "prompt_format": model.format_prompt("{question}"),
            "tokens": _tokens(model),
            "dtype": str(model.dtype),
            "sampling": SAMPLING_VERSION,
        }
        self._opened: dict[LatentSettings, Kept] = {}

    def of(self, settings: LatentSettings, *, questions: int) -> Kept:
        """Return what is kept under a setting, and tell what is there.

        Args:
            settings: of the samples.
            questions: that are asked, for the space that they need.

        Raises:
            StoreError: the store cannot be read, or the disk has too little room.
        """
        key = settings.without_beams()
        if key not in self._opened:
            record = {name: v for name, v in settings.record().items() if name not in _COUNTS}
            store = Store(self._root, self._identity | {"settings": record})
            each = LINE_BYTES + 4 * settings.max_new_tokens
            each += NUMBER_BYTES * self._size * settings.thought_limit
            if self._size and settings.mixing is not None:
                each += _MIXED * settings.mixing.mixture_size * settings.thought_limit
            if self._reward_model is not None:
                each += LINE_BYTES + _REWARD * settings.thought_limit
            store.check_space(questions * settings.num_return_sequences * each)
            if len(store):
                logger.info("The store %s holds %d samples already.", store.folder, len(store))
            elif other := store.nearest():
                logger.warning(
                    "The store %s holds samples of other settings, of which none is taken: %s.",
                    self._root,
                    other,
                )
            self._opened[key] = Kept(
                store,
                keep_thoughts=bool(self._size),
                reward_model=self._reward_model,
                need_thoughts=self._need_thoughts,
                need_mixtures=self._need_mixtures,
            )
        return self._opened[key]


def _tokens(model: LatentBackbone) -> dict[str, Any]:
    """Return the markers, as stores had them before there were any of several tokens."""
    found = asdict(model.latent_tokens)
    return {name: value for name, value in found.items() if name != "after_end" or value}


def _config(model: LatentBackbone) -> str:
    """Return a digest of the model's config, wherever it was loaded from."""
    config: dict[str, Any] = model.config.to_dict()
    own = {
        name: value
        for name, value in config.items()
        if name not in ("_name_or_path", "transformers_version", "dtype", "torch_dtype")
    }
    text = repr(sorted(own.items(), key=lambda item: item[0]))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
