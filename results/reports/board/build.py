"""Everything that `latent-tts leaderboard` writes."""

import hashlib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import pandas as pd

from ...csv_text import csv_text
from ...errors import ResultsError
from ...runs.collect import collect
from ...runs.command import without_secrets
from ...runs.record import Problem, Run
from ..charts import save, shown, task_chart
from ..table import number, percent
from .cautions import unlike_questions
from .pages import Page, PageJob, write_page
from .pairs import paired_rows
from .rows import asked, board_rows, full_strategies, sampler_label
from .templating import copy_assets, in_script, render, write_text
from .votes import OUTCOMES

_WORTH_A_PROCESS = 1 << 26  # bytes of sample logs
_BRIEF = ("n", "strength", "thoughts", "answer_tokens", "tokens", "samples_per_second")
_PAGE = re.compile(r".+-[0-9a-f]{8}\.(html|js)")  # as `_slug` names them


@dataclass(frozen=True)
class Board:
    """What was written.

    Attributes:
        folder: that holds it; `index.html` is the page.
        rows: of `board_rows`.
        problems: what was left out or is used with a caution.
    """

    folder: Path
    rows: pd.DataFrame
    problems: tuple[Problem, ...]


def build_board(paths: Iterable[Path], folder: Path, *, processes: int = 2) -> Board:
    """Write the leaderboard of all runs under some folders.

    Args:
        paths: --output_path folders of runs, or folders of such folders.
        folder: where the leaderboard goes; files of the same names are overwritten, and run pages
            of an earlier build removed.
        processes: that read sample logs at the same time.

    Returns:
        The board.

    Raises:
        ResultsError: no run can be read.
    """
    runs, problems = collect(paths)
    if not runs:
        reasons = "".join(f"\n  {problem}" for problem in problems)
        raise ResultsError(f"No run can be read, so there is no leaderboard.{reasons}")
    rows = board_rows(runs)
    unlike = unlike_questions(runs)
    problems += unlike.values()
    pages = folder / "runs"
    pages.mkdir(parents=True, exist_ok=True)
    copy_assets(folder / "assets")
    jobs = _jobs(runs, rows, pages, unlike)
    with _executor(runs, processes) as executor:
        written = executor.map(write_page, jobs) if executor else map(write_page, jobs)
        pictures, undrawn = _draw(rows, folder)  # while the pages are being written
        done = list(zip(jobs, written, strict=True))
    problems += [*undrawn, *(page.problem for _, page in done if page.problem)]
    usable = {(job.run.name, job.run.task): (job, page) for job, page in done if not page.problem}
    slugs = {key: job.slug for key, (job, _) in usable.items()}
    _remove_stale(pages, keep=set(slugs.values()))
    write_text(folder / "assets" / "runs.js", f"const RUNS = {in_script(_by_task(slugs))};\n")
    rows["page"] = [slugs.get((row.run, row.task)) for row in rows.itertuples()]
    write_text(folder / "leaderboard.csv", csv_text(rows))
    context = {"problems": problems, "pictures": pictures, "runs": runs, "tables": _tables(rows)}
    write_text(folder / "leaderboard.md", render("leaderboard.md.jinja", **context))
    data = {
        "columns": _columns(rows),
        "outcomes": {job.slug: _shares(page) for job, page in usable.values()},
    }
    pairs = paired_rows(rows, {key: page for key, (_, page) in usable.items()})
    page = render("index.html.jinja", **context, data=data, pairs=pairs, outcomes=OUTCOMES)
    write_text(folder / "index.html", page)
    return Board(folder, rows, tuple(problems))


def _by_task(slugs: Mapping[tuple[str, str], str]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return each task with page and name of its runs."""
    by_task: dict[str, list[tuple[str, str]]] = {}
    for (name, task), slug in slugs.items():
        by_task.setdefault(task, []).append((slug, name))
    return list(by_task.items())


def _shares(page: Page) -> list[tuple[int, str]]:
    """Return for each of `OUTCOMES` how many questions came to it, and their share in per cent."""
    total = sum(page.outcomes.values())
    return [(count, percent(count / total)) for count in page.outcomes.values()]


def _executor(runs: Sequence[Run], processes: int) -> AbstractContextManager[Executor | None]:
    """Return processes where there is enough to read, else nothing."""
    size = sum(run.samples.stat().st_size for run in runs)
    if processes < 2 or len(runs) < 2 or size < _WORTH_A_PROCESS:
        return nullcontext()
    return ProcessPoolExecutor(processes, mp_context=get_context("spawn"))


def _draw(rows: pd.DataFrame, folder: Path) -> tuple[dict[str, str], list[Problem]]:
    """Draw the curves of each task.

    Returns:
        Task -> the pictures' name without its ending, and what could not be drawn.
    """
    names, problems = {}, []
    for task in rows["task"].unique():
        name = f"curves_{_file_name(task)}"
        paths = [folder / f"{name}.{kind}" for kind in ("png", "svg")]
        try:
            save(task_chart(rows[rows["task"] == task]), paths)
        except Exception as error:  # whatever it is, the table and the pages are worth having
            for path in paths:
                path.unlink(missing_ok=True)
            message = f"the curves of {task} cannot be drawn ({error!r}); the page has them too."
            problems.append(Problem(paths[0], message, skipped=False))
        else:
            names[task] = name
    return names, problems


def _remove_stale(pages: Path, *, keep: set[str]) -> None:
    """Remove the run pages of an earlier build in the same folder."""
    for path in pages.iterdir():
        if _PAGE.fullmatch(path.name) and path.stem not in keep:
            path.unlink()


def _jobs(
    runs: Sequence[Run],
    rows: pd.DataFrame,
    folder: Path,
    unlike: Mapping[tuple[str, str], Problem],
) -> list[PageJob]:
    slugs = {(run.name, run.task): _slug(run) for run in runs}
    own_rows = {key: _plain(part) for key, part in rows.groupby(["run", "task"], sort=False)}
    return [
        PageJob(
            run=run,
            asked=asked(run),
            caution=unlike[run.name, run.task].message if (run.name, run.task) in unlike else "",
            strategies=full_strategies(run),
            metrics=[str(row["metric"]) for row in own_rows[run.name, run.task]],
            facts=_facts(run),
            rows=own_rows[run.name, run.task],
            folder=folder,
            slug=slugs[run.name, run.task],
            siblings={
                task: slug
                for (name, task), slug in slugs.items()
                if name == run.name and task != run.task
            },
        )
        for run in runs
    ]


def _facts(run: Run) -> dict[str, str]:
    config = run.config
    facts = {
        "task": f"{run.task}, version {run.task_version}, {asked(run)} questions",
        "checkpoint": config.checkpoint,
        "revision": config.revision,
        "weights": config.weights_sha256,
        **{name.replace("_", " "): value for name, value in config.parts.items()},
        "backbone": config.backbone,
        "parameters": None if config.parameters is None else f"{config.parameters:,}",
        "prompt format": config.prompt_format,
        "command line": config.command,
        "command line, rebuilt from lm-eval's record": None
        if config.command
        else config.rebuilt_command,
        "sampler": f"{sampler_label(run)} {number(config.strength)}",
        "candidates per question": config.samples,
        "reward model": config.reward_model,
        "seed": config.seed,
        "device": config.device,
        "weights' type": config.dtype,
        "written": run.date,
        "settings": ", ".join(
            without_secrets([f"{name} = {value}" for name, value in config.settings.items()])
        ),
        "versions": ", ".join(f"{name} {value}" for name, value in config.versions.items()),
        "sample log": run.samples.name,
    }
    return {label: str(value) for label, value in facts.items() if value not in (None, "")}


def _plain(rows: pd.DataFrame) -> list[dict[str, object]]:
    return [{str(k): v for k, v in row.items()} for row in rows.to_dict("records")]


def _tables(rows: pd.DataFrame) -> dict[str, list[dict[str, object]]]:
    """Return task -> its rows with all candidates."""
    full = rows[rows["full"]]
    return {str(task): _plain(part) for task, part in full.groupby("task", sort=False)}


def _columns(rows: pd.DataFrame) -> dict[str, list[object]]:
    """Return the rows column by column, with None for unknown numbers, as JSON wants it.

    Numbers are there as texts, too: the page writes them as all reports do, and rounds nothing.
    """
    texts = pd.DataFrame({f"{name}_text": rows[name].map(number) for name in _BRIEF})
    table = rows.join([shown(rows, "accuracy"), shown(rows, "coverage"), texts])
    return {
        str(name): [None if _unknown(value) else value for value in column.tolist()]
        for name, column in table.items()
    }


def _unknown(value: object) -> bool:
    return value is None or (isinstance(value, float) and not math.isfinite(value))


def _slug(run: Run) -> str:
    """Return a file name of a run's own: readable, and told apart by a digest."""
    key = f"{run.name}\0{run.task}"
    return f"{_file_name(key)[:80]}-{hashlib.sha256(key.encode()).hexdigest()[:8]}"


def _file_name(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._]+", "-", text).strip("-.") or "run"
