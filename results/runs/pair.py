"""Which new run belongs to which run of a baseline."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from ...differences import differences
from ..errors import ResultsError
from .record import Run
from .settings import new_since


@dataclass(frozen=True)
class Untested:
    """A new run that no old run belongs to.

    Attributes:
        run: the new one.
        reason: what the baseline has instead, and what differs.
    """

    run: Run
    reason: str


@dataclass(frozen=True)
class Pairing:
    """What of two sets of runs belongs together.

    Attributes:
        pairs: new and old runs.
        missing: old runs that were not run again.
        untested: new runs that no old run belongs to.
        notes: on pairs whose settings differ, or may.
    """

    pairs: tuple[tuple[Run, Run], ...]
    missing: tuple[Run, ...]
    untested: tuple[Untested, ...]
    notes: tuple[str, ...]


def pair_runs(new: Sequence[Run], old: Sequence[Run], *, allow_different: bool = False) -> Pairing:
    """Find for every new run the old ones with its task and settings.

    Seed, checkpoint and package versions may differ, and parameters that a sampler got after an old
    record was made, which cannot say how they were.

    Args:
        new: runs that are checked.
        old: those of the baseline.
        allow_different: whether a run that has no partner is paired with the old run of its task
            that differs in the fewest settings.

    Returns:
        The pairs, with a note on each whose settings differ or are not known.

    Raises:
        ResultsError: a side has no run.
    """
    if not new or not old:
        side = "baseline" if new else "folder"
        raise ResultsError(f"The {side} has no run that can be used; there is nothing to check.")
    pairs, untested, notes = [], [], []
    for run in new:
        same = [before for before in old if _purpose(run) == _purpose(before)]
        same = same or [before for before in old if _as_far_as_known(run, before)]
        rest = [before for before in old if before.task == run.task]
        nearest = min(rest, key=lambda before: len(_differences(run, before)), default=None)
        if not same and nearest and allow_different:
            same = [nearest]
        for before in same:
            pairs.append((run, before))
            if found := _differences(run, before):
                notes.append(f"settings differ: {run.task} ({run.name}); {'; '.join(found)}.")
        if not same:
            untested.append(Untested(run, _reason(run, nearest, old)))
    kept = [before for _, before in pairs]
    missing = tuple(before for before in old if before not in kept)
    return Pairing(tuple(pairs), missing, tuple(untested), tuple(notes))


def label(run: Run) -> str:
    """Return one line that says which run of a folder it is."""
    config = run.config
    strength = "" if config.strength is None else f" {config.strength:g}"
    return f"{run.task}, {config.sampler}{strength}, N = {config.samples}"


def _reason(run: Run, nearest: Run | None, old: Sequence[Run]) -> str:
    if nearest is None:
        tasks = ", ".join(dict.fromkeys(before.task for before in old))
        return f"the baseline has no run of this task; it has {tasks}"
    listed = "; ".join(_differences(run, nearest))
    return (
        f"no run of the baseline has its settings. The nearest is {nearest.name} "
        f"({label(nearest)}): {listed}. Run with the baseline's settings, or give --allow-different"
    )


def _purpose(run: Run) -> dict[str, object]:
    """Return what must agree, by name."""
    config = run.config
    # A folder's path differs between machines; what it holds does not.
    reward_model = config.reward_model and PurePath(config.reward_model).name
    return {
        "task": run.task,
        "tolerance": run.tolerance,
        "backbone": config.backbone,
        "prompt_format": config.prompt_format,
        "reward_model": config.reward_sha256 or reward_model,
        "N": config.samples,
        **{k: v for k, v in config.chosen_settings.items() if k != "num_return_sequences"},
    }


def _as_far_as_known(new: Run, old: Run) -> bool:
    unknown = {*new_since(new.config.settings, old.config.settings)}
    if old.config.prompt_format is None:
        unknown.add("prompt_format")
    ours, theirs = (
        {name: value for name, value in _purpose(run).items() if name not in unknown}
        for run in (new, old)
    )
    return ours == theirs


def _differences(new: Run, old: Run) -> list[str]:
    return list(differences(_purpose(old), _purpose(new)).values())
