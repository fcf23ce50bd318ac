"""A run's candidates scored from the thoughts that its store keeps."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from ..results import ResultsError, Run, RunConfig
from ..results.foreign.line import PoolLine
from ..reward import LatentRewardModel
from ..reward.auto import check_pair
from ..tasks import Candidate
from .run_model import load_run_model, run_settings
from .sample import sample_pools
from .stores import Stores


class Scorer:
    """A backbone with a reward model, and the store of a run.

    Attributes:
        reward_model: that scores.
    """

    def __init__(
        self,
        config: RunConfig,
        reward_model: str,
        store: Path,
        *,
        pretrained: str | None = None,
        of_another: bool = False,
    ) -> None:
        """Load both.

        Args:
            config: of the run, whose backbone it is.
            reward_model: a folder, a hub id, or the name of one that ships.
            store: the folder of the run's store.
            pretrained: the backbone, where the run names one that is not here.
            of_another: accept a reward model of another backbone.

        Raises:
            ModelError: an unusable backbone.
            RewardError: an unusable reward model, or one that does not fit.
        """
        self._model, self._tokenizer = load_run_model(config, pretrained)
        self.reward_model = LatentRewardModel.from_pretrained(reward_model, dtype=self._model.dtype)
        check_pair(self._model, self.reward_model, self._tokenizer, of_another=of_another)
        self._root = store
        self._stores = Stores(store, self._model, self.reward_model, keep_thoughts=False)

    def scored(self, run: Run, lines: Sequence[PoolLine]) -> list[PoolLine]:
        """Return a run's questions with the rewards of their candidates, without beams.

        Raises:
            ResultsError: the store lacks samples or thoughts of the run, or has others.
        """
        settings = run_settings(self._model, run.config)
        counts = [len(line.pool.candidates) for line in lines]
        settings = replace(settings, num_return_sequences=max(counts))
        kept = self._stores.of(settings, questions=0)
        texts = [line.question.text for line in lines]
        for line, count in zip(lines, counts, strict=True):
            prompt = self._model.encode_prompt(self._tokenizer, line.question.text)
            found = len(kept.find(prompt, count))
            if found < count:
                near = kept.store.nearest()
                raise ResultsError(
                    f"{line.where}: the store {self._root} has thoughts or rewards of {found} of "
                    f"the {count} samples of question {line.question.id!r}. Name the --store of a "
                    "run with store_thoughts=true."
                    + (f" It holds other samples too: {near}." if near else "")
                )
        by_count: dict[int, list[int]] = {}
        for index, count in enumerate(counts):
            by_count.setdefault(count, []).append(index)
        done: dict[int, PoolLine] = {}
        for count, members in by_count.items():
            pools = sample_pools(
                self._model,
                self._tokenizer,
                [texts[index] for index in members],
                replace(settings, num_return_sequences=count),
                reward_model=self.reward_model,
                kept=kept,
            )
            for index, pool in zip(members, pools, strict=True):
                done[index] = _with_rewards(
                    lines[index], {number: one for number, one in enumerate(pool.candidates)}
                )
        return [done[index] for index in range(len(lines))]


def _with_rewards(line: PoolLine, scored: Mapping[int, Candidate]) -> PoolLine:
    """Return a question whose candidates have the rewards of the same samples.

    Raises:
        ResultsError: a sample of the store is another than the logged one.
    """
    candidates = []
    for number, one in enumerate(line.pool.candidates):
        own = scored[number]
        if not own.text.startswith(one.text) or own.thoughts != one.thoughts:
            raise ResultsError(
                f"{line.where}: candidate {number} is {one.text[:60]!r} in the log and "
                f"{own.text[:60]!r} in the store. Name the store of this run."
            )
        candidates.append(
            msgspec.structs.replace(one, reward=own.reward, step_rewards=own.step_rewards)
        )
    pool = msgspec.structs.replace(line.pool, candidates=tuple(candidates), beams=())
    return replace(line, pool=pool)
