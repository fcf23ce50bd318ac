"""Which new run belongs to which run of a baseline."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from ..errors import ResultsError
from .record import Run
from .settings import new_since


@dataclass(frozen=True)
class Pairing:
    """What of two sets of runs belongs together.

    Attributes:
        pairs: new and old runs.
        missing: old runs that were not run again.
        untested: new runs that no old run belongs to.
        notes: on pairs whose settings differ.
    """

    pairs: tuple[tuple[Run, Run], ...]
    missing: tuple[Run, ...]
    untested: tuple[Run, ...]
    notes: tuple[str, ...]


def pair_runs(new: Sequence[Run], old: Sequence[Run]) -> Pairing:
    """Find for every old run all new ones with its task and settings.

    Seed, checkpoint and package versions may differ. Runs are paired although their settings
    differ, with a note, where an old record is of before its sampler had a parameter, or where both
    sides have one run of a task.

    Raises:
        ResultsError: no run has a partner.
    """
    pairs, missing, notes = [], [], []
    for before in old:
        same = [run for run in new if _purpose(run) == _purpose(before)]
        same = same or [run for run in new if _as_far_as_known(run, before)]
        alone = [run for run in new if run.task == before.task]
        if not same and len(alone) == 1 and sum(run.task == before.task for run in old) == 1:
            same = alone
        differences = (_differences(run, before) for run in same)
        notes += [f"settings differ: {before.task}; {text}." for text in differences if text]
        pairs += [(run, before) for run in same]
        if not same:
            missing.append(before)
    if not pairs:
        raise ResultsError(
            "No run of the baseline was run again with its task and settings; there is nothing to "
            "check."
        )
    tested = [run for run, _ in pairs]
    untested = tuple(run for run in new if run not in tested)
    return Pairing(tuple(pairs), tuple(missing), untested, tuple(notes))


def _purpose(run: Run) -> dict[str, object]:
    """Return what must agree, by name."""
    config = run.config
    # A folder's path differs between machines; what it holds does not.
    reward_model = config.reward_model and PurePath(config.reward_model).name
    return {
        "task": run.task,
        "tolerance": run.tolerance,
        "backbone": config.backbone,
        "reward_model": config.reward_sha256 or reward_model,
        **config.chosen_settings,
    }


def _as_far_as_known(new: Run, old: Run) -> bool:
    unknown = new_since(new.config.settings, old.config.settings)
    ours = {name: value for name, value in _purpose(new).items() if name not in unknown}
    return ours == _purpose(old)


def _differences(new: Run, old: Run) -> str:
    ours, theirs = _purpose(new), _purpose(old)
    names = [name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)]
    listed = [f"{name} is {ours.get(name)}, was {theirs.get(name)}" for name in names]
    return "; ".join(listed)
