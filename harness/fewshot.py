"""Few-shot prompts by lm-eval's own means, in which no example answers the question."""

from collections.abc import Sequence
from typing import Any

from lm_eval.api.instance import Instance

from ..models import LatentBackbone, ModelError
from ..tasks import TaskError
from .examples import FILE, Doc, Examples, read_examples
from .lm_eval_seam import GenerateTask, list_requests, logger

_SHOTS = "latent_tts_shots"  # an attribute of requests, as the pool's mark is


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
