"""Worked examples: where they come from, and which of them are not the question itself."""

from collections.abc import Callable, Mapping, Sequence

from ..tasks import TaskError, read_solved

FILE = "fewshot_file"
"""In a task's metadata: a file of worked examples, in a format of training data."""

Doc = Mapping[str, object]


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
        self._indices: dict[tuple[str, str], list[int]] = {}
        for index, doc in enumerate(docs):
            for name in self._names(doc):
                self._indices.setdefault(name, []).append(index)

    def others(self, doc: Doc, *, count: int, task: str) -> Sequence[Doc]:
        """Return the examples that are not this question.

        Args:
            doc: the question.
            count: how many are to be shown.
            task: its name, for the message.

        Raises:
            TaskError: there are fewer.
        """
        same = {index for name in self._names(doc) for index in self._indices.get(name, ())}
        left = [one for index, one in enumerate(self._docs) if index not in same] if same else None
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
