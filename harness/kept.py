"""A store as it is used while sampling: what is there already, and what is added."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from ..models import LatentBackbone, LatentSettings, Trajectory
from ..models.identity import SAMPLING_VERSION, checkpoint_digest
from ..results.store import Sampled, Scored, Store
from ..reward.model import LatentRewardHead
from .lm_eval_seam import logger

# Of settings, what does not change which sample an index has.
_COUNTS = ("num_return_sequences", "num_beams", "num_beam_candidates")
_LINE, _NUMBER = 160, 2  # bytes of a sample's line without answer, and of a thought's number


@dataclass(frozen=True)
class Finished:
    """A finished sample, drawn now or found in a store.

    Attributes:
        sample: its index.
        answer_ids: tokens of the answer.
        thoughts: how many.
        truncated: whether the answer was cut off before its end.
        states: f[T, D], the thoughts; None where the store does not keep them.
        step_rewards: of each thought, where a reward model has scored it.
    """

    sample: int
    answer_ids: tuple[int, ...]
    thoughts: int
    truncated: bool
    states: torch.Tensor | None = None
    step_rewards: tuple[float, ...] | None = None

    @classmethod
    def of(cls, trajectory: Trajectory) -> "Finished":
        """Return a sample that was just drawn."""
        return cls(
            trajectory.sample,
            trajectory.answer_ids,
            len(trajectory.thoughts),
            trajectory.truncated,
            trajectory.thoughts,
        )

    @property
    def text_ids(self) -> list[int]:
        """The answer's tokens without the end-of-sequence token."""
        return list(self.answer_ids if self.truncated else self.answer_ids[:-1])


class Kept:
    """Samples of one model under one setting, in a store.

    Attributes:
        store: where they lie.
        taken: samples that were found there so far.
        added: samples that were kept there so far.
    """

    def __init__(
        self, store: Store, *, keep_thoughts: bool, reward_model: LatentRewardHead | None
    ) -> None:
        """Open it for a run.

        Args:
            store: of the model and the setting.
            keep_thoughts: whether to keep thoughts too, so that other reward models may score.
            reward_model: that of the run, if any; a sample without its reward or thoughts is none.
        """
        self.store, self.taken, self.added = store, 0, 0
        self._keep_thoughts = keep_thoughts
        self._scored = None if reward_model is None else checkpoint_digest(reward_model)

    def find(self, prompt: Sequence[int], count: int) -> list[Finished]:
        """Return those of a question's first samples that are there."""
        question = _question(prompt)
        scores: Mapping[int, tuple[float | None, ...]] = {}
        if self._scored is not None:
            scores = self.store.scores(question, self._scored)
        found = []
        for sample, row in sorted(self.store.samples(question).items()):
            own, states = scores.get(sample), None
            if sample >= count:
                continue
            if self._scored is not None and own is None:
                thoughts = self.store.thoughts(row)
                if thoughts is None:
                    continue
                states = torch.from_numpy(thoughts)
            rewards = None if own is None else tuple(math.nan if r is None else r for r in own)
            found.append(
                Finished(sample, row.answer_ids, row.thoughts, row.truncated, states, rewards)
            )
        self.taken += len(found)
        return found

    def keep(self, prompt: Sequence[int], samples: Sequence[Finished]) -> None:
        """Keep samples of a question that were just drawn.

        Raises:
            StoreError: they cannot be written.
        """
        question = _question(prompt)
        rows = [
            Sampled(question, one.sample, one.thoughts, one.answer_ids, one.truncated)
            for one in samples
        ]
        thoughts = None
        if self._keep_thoughts:
            thoughts = [torch.as_tensor(one.states).half().cpu().numpy() for one in samples]
        self.store.append(rows, thoughts)
        self.added += len(rows)

    def keep_scores(self, prompt: Sequence[int], samples: Sequence[Finished]) -> None:
        """Keep the rewards of a question's samples.

        Raises:
            StoreError: they cannot be written.
        """
        if self._scored is None or not samples:
            return
        question = _question(prompt)
        rewards = (
            tuple(r if math.isfinite(r) else None for r in one.step_rewards or ())
            for one in samples
        )
        self.store.append_scores(
            [
                Scored(question, one.sample, self._scored, own)
                for one, own in zip(samples, rewards, strict=True)
            ]
        )


def _question(prompt: Sequence[int]) -> str:
    return hashlib.blake2b(",".join(map(str, prompt)).encode(), digest_size=12).hexdigest()


class Stores:
    """The stores of one model in one folder: one for each setting that its tasks ask for."""

    def __init__(
        self,
        root: Path,
        model: LatentBackbone,
        reward_model: LatentRewardHead | None,
        *,
        keep_thoughts: bool,
    ) -> None:
        """Take the folder as it is.

        Args:
            root: the folder.
            model: whose samples.
            reward_model: that of the run, if any.
            keep_thoughts: whether to keep thoughts too.
        """
        self._root, self._reward_model = root, reward_model
        self._size = model.config.get_text_config().hidden_size if keep_thoughts else 0
        self._identity = {
            "checkpoint": checkpoint_digest(model),
            "config": _config(model),
            "backbone": model.backbone,
            "prompt_format": model.format_prompt("{question}"),
            "tokens": asdict(model.latent_tokens),
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
            each = _LINE + 4 * settings.max_new_tokens
            each += _NUMBER * self._size * settings.thought_limit
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
                store, keep_thoughts=bool(self._size), reward_model=self._reward_model
            )
        return self._opened[key]


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
