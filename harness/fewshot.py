"""Worked examples before a question: where they come from, and that none answers the question."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lm_eval.api.instance import Instance

from ..models import LatentBackbone, ModelError
from ..tasks import TaskError, read_solved
from .lm_eval_seam import GenerateTask, list_requests, logger

FILE = "fewshot_file"
"""In a task's metadata: a file of worked examples, in a format of training data."""

_SHOTS = "latent_tts_shots"  # an attribute of requests, as the pool's mark is
Doc = Mapping[str, Any]


def read_examples(path: object) -> list[dict[str, str]]:
    """Return the questions of a file, written out as chains of thought are.

    Args:
        path: what the metadata name, see `read_solved`.

    Returns:
        Rows of `question`, `answer` and `worked`: a line for each step, and `### 18`.

    Raises:
        TaskError: no name of a file, or an unusable file.
    """
    if not isinstance(path, str):
        raise TaskError(
            f"{FILE}={path!r} is no name of a file: lm-eval has read it as a number or the like. "
            f'Put it in quotes: --metadata \'{{"{FILE}": "007"}}\'.'
        )
    return [
        {"question": one.question, "answer": one.answer, "worked": one.worked}
        for one in read_solved(path)
    ]


class Examples:
    """The examples that a task may show, by their ids and their texts.

    A question that is among them, by its id or by its text, is not shown to itself.
    """

    def __init__(self, docs: Sequence[Doc], read: Callable[[Doc], object]) -> None:
        """Take the examples.

        Args:
            docs: of the data.
            read: returns the text of one's question.
        """
        self._docs, self._read = docs, read
        self._places: dict[tuple[str, str], list[int]] = {}
        for place, doc in enumerate(docs):
            for name in self._names(doc):
                self._places.setdefault(name, []).append(place)

    def others(self, doc: Doc, *, count: int, task: str) -> Sequence[Doc]:
        """Return the examples that are not this question.

        Args:
            doc: the question.
            count: how many are to be shown.
            task: its name, for the message.

        Raises:
            TaskError: there are fewer.
        """
        same = {place for name in self._names(doc) for place in self._places.get(name, ())}
        left = [one for place, one in enumerate(self._docs) if place not in same] if same else None
        found = self._docs if left is None else left
        if len(found) < count:
            own = f", of which {len(same)} are the question {doc.get('id')!r} itself" * bool(same)
            raise TaskError(
                f"--num_fewshot {count}: {task} has {len(self._docs)} examples{own}. Give a "
                f'smaller number, or more examples: --metadata \'{{"{FILE}": "FILE"}}\'.'
            )
        return found

    def _names(self, doc: Doc) -> list[tuple[str, str]]:
        text = " ".join(str(self._read(doc)).casefold().split())
        own = [] if doc.get("id") is None else [("id", str(doc["id"]))]
        return [("text", text), *own]


def mark_shots(request: object, count: int) -> None:
    """Note on a request how many examples stand before its question."""
    setattr(request, _SHOTS, count)


def check_shots(model: LatentBackbone, requests: Sequence[object]) -> None:
    """Refuse examples in requests of this project's tasks where the backbone reads none.

    Raises:
        ModelError: it was trained on its own prompt format, which holds one question.
    """
    most = max((getattr(request, _SHOTS, 0) for request in requests), default=0)
    if most and not model.reads_chats:
        raise ModelError(
            f"--num_fewshot {most} cannot be used: a {model.backbone} model reads one question, in "
            "a prompt format of its own, which has no place for examples. Leave the flag out; "
            "backbone=explicit reads examples."
        )


class FewshotTask(GenerateTask):
    """A task that shows a question examples of others, by lm-eval's own means.

    The examples are those of `fewshot_split` (or `training_split`, …), or of the file that the
    metadata name as `fewshot_file`.
    """

    _examples: Examples | None = None

    def fewshot_docs(self) -> Sequence[Doc] | None:
        """Return what may be shown.

        Raises:
            TaskError: the file cannot be used.
        """
        file = (self.config.metadata or {}).get(FILE)
        docs: Sequence[Doc] | None = super().fewshot_docs() if file is None else read_examples(file)
        return docs

    def build_all_requests(self, **options: Any) -> Any:
        """Build the requests.

        Args:
            **options: lm-eval's own.

        Raises:
            TaskError: the examples would be the questions themselves, or are too few.
        """
        config = self.config
        given = (config.metadata or {}).get(FILE)
        if given is not None and not config.num_fewshot:
            logger.warning("%s=%s is not read without --num_fewshot.", FILE, given)
        if config.num_fewshot and given is None:
            self._check_split()
        return super().build_all_requests(**options)

    def _check_split(self) -> None:
        """Refuse examples that would be the questions with their answers."""
        config, shown = self.config, self.config.fewshot_config
        if getattr(shown, "samples", None) is not None:
            return
        own = config.test_split or config.validation_split
        other = getattr(shown, "split", None) or config.fewshot_split
        if (other or config.training_split or config.validation_split or own) == own:
            raise TaskError(
                f"--num_fewshot {config.num_fewshot}: {self.task_name} has one split, {own!r}, so "
                "the examples would be its questions with their answers. Leave --num_fewshot out, "
                f'name a file of worked examples (--metadata \'{{"{FILE}": "FILE"}}\'), or give '
                "the task a fewshot_split of other questions."
            )

    def fewshot_context(self, doc: Doc, num_fewshot: int, *args: Any, **options: Any) -> Any:
        """Return the prompt: examples, none of which is the question, and the question.

        Args:
            doc: the question's row.
            num_fewshot: how many examples.
            *args: lm-eval's own.
            **options: lm-eval's own.

        Raises:
            TaskError: there are fewer examples.
        """
        if num_fewshot:
            if self._examples is None:
                self._examples = Examples(list(self.fewshot_docs() or ()), self.doc_to_text)
            others = self._examples.others(doc, count=num_fewshot, task=self.task_name)
            self.sampler.replace_df(others)
        return super().fewshot_context(doc, num_fewshot, *args, **options)

    def construct_requests(
        self, doc: dict[str, Any], ctx: str, **kwargs: Any
    ) -> Instance | list[Instance]:
        """Build the request for one question.

        Where examples stand before it as plain text, what separates them ends the answer: a model
        goes on with a question of its own.

        Args:
            doc: the question's row.
            ctx: the prompt.
            **kwargs: lm-eval's own.
        """
        built: Instance | list[Instance] = super().construct_requests(doc, ctx, **kwargs)
        shots = self.config.num_fewshot or 0
        for request in list_requests(built) if shots else ():
            mark_shots(request, shots)
            prompt, settings = request.args
            if not kwargs.get("apply_chat_template"):
                stops = settings.get("until") or []
                stops = [stops] if isinstance(stops, str) else list(stops)
                own = self.config.fewshot_delimiter
                settings = {**settings, "until": [*stops, *[own] * (own not in stops)]}
                request.arguments = (prompt, settings)
        return built
