"""The lm-eval task that judges pools of candidates."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.metrics import mean

from ..tasks import (
    LOWER_IS_BETTER,
    NEUTRAL,
    STRATEGIES,
    TaskError,
    find_judge,
    is_pool,
    join_pools,
    pool_metrics,
    read_response,
    read_tolerance,
)
from .fewshot import FewshotTask
from .lm_eval_seam import (
    KEEPS_REPEATS,
    NOT_FIELDS,
    keep_repeats,
    list_requests,
    list_responses,
    logger,
)
from .requests import wish_for_pool

_UNKNOWN_FOR_TEXT = frozenset({"truncated", "thoughts", "answer_tokens"})


class PoolTask(FewshotTask):
    """A task whose responses are pools and whose metrics follow from the number of candidates.

    The gold answer is `doc_to_target`. The task's metadata may hold `ks`, `tolerance` and `judge`
    (number, text or math). With `repeats`, the responses to a question are joined into one pool. A
    response of another model, plain text, is a pool of one candidate with the text's final answer;
    the metrics that need token counts are then left out.

    Attributes:
        ks: Subset sizes for pass@k and voting@k; None means powers of two and N.
        tolerance: The largest difference from the gold answer that counts as right, see
            `is_correct`.
        judge: Says which answers vote together, and which are right.
    """

    def __init__(self, config: Mapping[str, Any] | None = None) -> None:
        """Builds the task and checks its metadata.

        Args:
            config: The fields of the task's YAML.

        Raises:
            TaskError: `ks`, `tolerance` or `repeats` cannot be used, the data cannot be read, or
                an installed package declares a strategy that cannot be used.
        """
        list(STRATEGIES.values())  # imports other packages' now rather than after sampling
        fields = {key: value for key, value in (config or {}).items() if key not in NOT_FIELDS}
        metadata = fields.get("metadata") or {}
        self.ks = _read_ks(metadata.get("ks"))
        self.tolerance = read_tolerance(metadata.get("tolerance", 0))
        self.judge = find_judge(metadata.get("judge", "number"))
        repeats = fields.get("repeats", 1)
        if isinstance(repeats, bool) or not isinstance(repeats, int) or repeats < 1:
            raise TaskError(f"repeats is {repeats!r}; it must be a whole number of at least 1.")
        if repeats > 1 and not KEEPS_REPEATS and not fields.get("filter_list"):
            fields["filter_list"] = keep_repeats(repeats)
        if fields.get("num_fewshot") == 0:
            del fields["num_fewshot"]  # under which lm-eval would drop --num_fewshot without a word
        self._predicts_only = False
        self._seen_metrics: set[str] = set()
        super().__init__(config=fields)

    def build_all_requests(self, **options: Any) -> None:
        """Builds the requests, after making sure that every answer can be judged.

        lm-eval's --cache_requests is not followed: it keeps requests with the settings and the data
        that they were first built with, and gives them to runs with others.

        Args:
            **options: lm-eval's own.

        Raises:
            TaskError: The judge cannot read a question's gold answer, examples would be the
                questions themselves, or a system instruction would be glued to the question.
        """
        if options.pop("cache_requests", False):
            logger.info(
                "%s: --cache_requests is left out, because kept requests would carry the settings "
                "and the data of the run that kept them.",
                self.task_name,
            )
        self._check_prompt(options)
        for index, doc in enumerate(self.eval_docs):
            gold = str(self.doc_to_target(doc))
            if not self.judge.can_judge(gold):
                # Found out now rather than when all candidates have been generated.
                raise TaskError(
                    f"question {doc.get('id', index)!r} (number {index}) of {self.task_name} has "
                    f"the gold answer {gold!r}, which is not {self.judge.golds}. Mend it, or "
                    "choose another judge (number, text, math) in the task's metadata."
                )
        super().build_all_requests(**options)

    def _check_prompt(self, options: Mapping[str, Any]) -> None:
        """Refuses what would make another prompt than the question, unnoticed."""
        instruction = options.get("system_instruction")
        if instruction and not options.get("apply_chat_template"):
            raise TaskError(
                f"--system_instruction {instruction!r} would be glued to the question, because "
                "nothing but a chat template has a place for it. Leave it out, or put the words "
                "into the task's doc_to_text."
            )

    def construct_requests(
        self, doc: dict[str, Any], ctx: str, **kwargs: Any
    ) -> Instance | list[Instance]:
        """Builds the request for one question.

        Args:
            doc: The question's row.
            ctx: The prompt.
            **kwargs: lm-eval's own.

        Returns:
            The request, see `wish_for_pool`: other models answer it with text.
        """
        built: Instance | list[Instance] = super().construct_requests(doc, ctx, **kwargs)
        least = -(-max(self.ks) // self.config.repeats) if self.ks else None
        for request in list_requests(built):
            wish_for_pool(request, least=least, judge=self.judge.name)
        return built

    def override_metric(self, metric_name: str) -> None:
        """Replaces all metrics by one of lm-eval's, as --predict_only does."""
        super().override_metric(metric_name)
        self._predicts_only = metric_name == "bypass"

    def process_results(self, doc: dict[str, Any], results: Sequence[Any]) -> dict[str, Any]:
        """Judges the responses to one question.

        Args:
            doc: The question's row.
            results: The responses, see `list_responses`.

        Returns:
            Metric name -> value, see `pool_metrics`; nothing but `bypass` under --predict_only.

        Raises:
            TaskError: A response is a damaged pool, or too small for `ks`.
        """
        if self._predicts_only:
            return {"bypass": None}
        # What is more than `repeats` is padding of several processes.
        responses = list_responses(results)[: self.config.repeats]
        judge = self.judge.name
        pool = join_pools([read_response(response, judge=judge) for response in responses])
        gold = str(self.doc_to_target(doc))
        metrics = pool_metrics(pool, gold, ks=self.ks, tolerance=self.tolerance)
        if not all(is_pool(response) for response in responses):
            metrics = {k: v for k, v in metrics.items() if k not in _UNKNOWN_FOR_TEXT}
        self._seen_metrics |= metrics.keys()
        return metrics

    def aggregation(self) -> dict[str, Callable[[Sequence[float]], float]]:
        """Returns how each metric's values become one: by their mean."""
        own: dict[str, Any] = super().aggregation() if self._predicts_only else {}
        return own | dict.fromkeys(self._seen_metrics, mean)

    def higher_is_better(self) -> dict[str, bool]:
        """Returns the direction of each metric that has one."""
        own: dict[str, Any] = super().higher_is_better() if self._predicts_only else {}
        judged = sorted(self._seen_metrics - NEUTRAL)
        return own | {name: name not in LOWER_IS_BETTER for name in judged}


def _read_ks(value: object) -> tuple[int, ...] | None:
    if value is None:
        return None
    ks = value if isinstance(value, list | tuple) else [value]
    if not ks or any(isinstance(k, bool) or not isinstance(k, int) or k < 1 for k in ks):
        raise TaskError(
            f"ks is {value!r}; it must be a list of whole numbers of at least 1, for example "
            "--metadata '{\"ks\": [1, 4]}', or null for 1, 2, 4, … and N."
        )
    return tuple(ks)
