"""Questions of the commands that train and measure: word problems, tasks, files."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..registry import near
from ..tasks import Question, TaskError, read_questions, read_tolerance
from ..tasks.answers import final_answer
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


@dataclass(frozen=True, kw_only=True)
class QuestionOptions:
    """Which questions a command asks.

    Attributes:
        tasks: names that --tasks takes.
        questions: a file of them.
        include_path: a folder of tasks beside this project's and lm-eval's own.
        judge: of the answers; None for that of each task, and for numbers in the file.
    """

    tasks: Sequence[str] = ()
    questions: Path | None = None
    include_path: Path | None = None
    judge: str | None = None

    def load(self) -> dict[str, list[Question]]:
        """Return the questions, by the task's or the file's name.

        Raises:
            TaskError: an unknown task, a file that cannot be read, or an answer that its judge
                cannot.
        """
        found: dict[str, list[Question]] = {}
        for name in self.tasks:
            found |= task_questions(name, self.include_path, self.judge)
        if (file := self.questions) is not None:
            found[file.name.partition(".")[0]] = read_questions(file, judge=self.judge or "number")
        return found

    def load_or_generate(
        self, problems: int, *, seed: int, split: Split = "validation", hard_share: float = 0.0
    ) -> list[Question]:
        """Return the questions, or generated problems where none are asked for.

        Args:
            problems: how many.
            seed: of these.
            split: of these.
            hard_share: of these, those with larger numbers.

        Raises:
            TaskError: as `load`.
        """
        if not self.tasks and self.questions is None:
            return arith_questions(split, problems, hard_share=hard_share, seed=seed)
        return [question for own in self.load().values() for question in own]


def task_questions(
    name: str, include_path: Path | None = None, judge: str | None = None
) -> dict[str, list[Question]]:
    """Return the questions of a task of lm-eval, or of each task of a group.

    Args:
        name: what --tasks calls it.
        include_path: a folder of tasks beside this project's and lm-eval's own.
        judge: of the answers; None for the one that the task's metadata name, else numbers.

    Raises:
        TaskError: there is none, it is none of questions and answers, or an answer is nothing that
            its judge can read.
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
    loaded = manager.load([name])["tasks"]
    return {task: list(_questions(one, task, judge)) for task, one in loaded.items()}


def _questions(loaded: Any, task: str, judge: str | None) -> Iterator[Question]:
    """Yield the questions of a loaded task, as they are judged when it is run."""
    if loaded.OUTPUT_TYPE != "generate_until":
        raise TaskError(
            f"{task} asks for {loaded.OUTPUT_TYPE}, and a latent reasoner gives answers alone. "
            "Choose a task whose output_type is generate_until."
        )
    metadata = loaded.config.metadata or {}
    judge = judge or str(metadata.get("judge", "number"))
    tolerance = read_tolerance(metadata.get("tolerance", 0))
    for index, doc in enumerate(loaded.eval_docs):
        where = f"{task}, question {index}"
        row = {
            "id": str(doc.get("id", index)),
            "question": loaded.doc_to_text(doc),
            "answer": read_gold(loaded.doc_to_target(doc), where=where, judge=judge),
        }
        yield question_from(row, where=where, judge=judge, tolerance=tolerance)


def read_gold(target: object, *, where: str, judge: str) -> str:
    """Return the gold answer of a task's target.

    Args:
        target: what `doc_to_target` returned: an answer, or, in tasks such as lm-eval's gsm8k, a
            worked solution that ends in one.
        where: the question, for messages.
        judge: the name of the judge of the answers.

    Raises:
        TaskError: there are several answers.
    """
    if isinstance(target, list | tuple | dict):
        raise TaskError(
            f"{where} has the gold answer {target!r}; one text is allowed. Write a task whose "
            "doc_to_target is one."
        )
    text = str(target)
    solution = "\n" in text.strip() or "####" in text or r"\boxed" in text
    return final_answer(text, number=judge == "number") or text if solution else text
