"""Questions of the commands that train and measure: word problems, tasks, files."""

from collections.abc import Sequence
from pathlib import Path

from ..registry import near
from ..tasks import Question, TaskError, read_questions
from ..tasks.arith import Problem, Split, generate
from ..tasks.question import question_from
from .benchmarks import task_folder


def arith_questions(split: Split, count: int, *, hard_share: float, seed: int) -> list[Question]:
    """Return generated word problems, a share of them with larger numbers, spread evenly."""
    chosen = arith_problems(split, count, hard_share=hard_share, seed=seed)
    return [Question(id=p.id, text=p.question, gold=p.answer) for p in chosen]


def arith_problems(split: Split, count: int, *, hard_share: float, seed: int) -> list[Problem]:
    """Return generated word problems with their steps, as `arith_questions` does."""
    hard = round(count * hard_share)
    parts = [
        iter(generate(split=split, count=size, seed=seed, hard=is_hard) if size else ())
        for size, is_hard in ((count - hard, False), (hard, True))
    ]
    # Number i is hard where the running share passes an integer.
    return [next(parts[(i + 1) * hard // count - i * hard // count]) for i in range(count)]


def asked_questions(
    tasks: Sequence[str], file: Path | None, include_path: Path | None
) -> dict[str, list[Question]]:
    """Return the questions of tasks and of a file, by the task's or the file's name.

    Raises:
        TaskError: an unknown task, a file that cannot be read, or an answer that is no number.
    """
    found: dict[str, list[Question]] = {}
    for name in tasks:
        found |= task_questions(name, include_path)
    if file is not None:
        found[file.name.partition(".")[0]] = read_questions(file)
    return found


def task_questions(name: str, include_path: Path | None = None) -> dict[str, list[Question]]:
    """Return the questions of a task of lm-eval, or of each task of a group.

    Args:
        name: what --tasks calls it.
        include_path: a folder of tasks beside this project's and lm-eval's own.

    Raises:
        TaskError: there is none, or an answer is no number.
    """
    from lm_eval.tasks import TaskManager

    paths = [str(path) for path in (task_folder(), include_path) if path is not None]
    manager = TaskManager(include_path=paths, include_defaults=False)
    if name not in manager.all_tasks:
        known = manager.all_tasks
        manager = TaskManager(include_path=paths)  # reads thousands of files: only where needed
        if name not in manager.all_tasks:
            raise TaskError(
                f"no task is called {name!r}.{near(name, known)} Allowed are "
                f"{', '.join(sorted(known))}, lm-eval's own (`lm_eval ls tasks`), and those of "
                "--include-path."
            )
    return {
        task: [
            question_from(
                {
                    "id": str(doc.get("id", place)),
                    "question": loaded.doc_to_text(doc),
                    "answer": str(loaded.doc_to_target(doc)),
                },
                where=f"{task}, question {place}",
            )
            for place, doc in enumerate(loaded.eval_docs)
        ]
        for task, loaded in manager.load([name])["tasks"].items()
    }
