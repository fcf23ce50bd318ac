"""The lm-eval task that judges pools of candidates."""

from collections.abc import Mapping, Sequence
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.metrics import mean
from lm_eval.api.task import ConfigurableTask
from lm_eval.filters import build_filter_ensemble

from ..tasks import (
    LOWER_IS_BETTER,
    NEUTRAL,
    TaskError,
    canonical,
    is_pool,
    join_pools,
    pool_metrics,
    read_response,
    read_tolerance,
)

_UNKNOWN_FOR_TEXT = frozenset({"truncated", "thoughts", "answer_tokens"})


class PoolTask(ConfigurableTask):
    """A task whose responses are pools and whose metrics follow from the number of candidates.

    The gold answer is `doc_to_target`, a number. The task's metadata may hold `ks` and
    `tolerance`. With `repeats`, the responses to a question are joined into one pool. A response
    of another model, plain text, is a pool of one candidate whose answer is the last number; the
    metrics that need token counts are then left out.

    Attributes:
        ks: Subset sizes for pass@k and voting@k; None means powers of two and N.
        tolerance: The largest absolute difference from the gold answer that counts as right.
    """

    def __init__(self, config: Mapping[str, Any] | None = None) -> None:
        """Builds the task and checks its metadata.

        Args:
            config: The fields of the task's YAML.

        Raises:
            TaskError: `ks`, `tolerance` or `repeats` cannot be used, or the data cannot be read.
        """
        fields = {key: value for key, value in (config or {}).items() if key != "class"}
        metadata = fields.get("metadata") or {}
        self.ks = _read_ks(metadata.get("ks"))
        self.tolerance = read_tolerance(metadata.get("tolerance", 0))
        repeats = fields.get("repeats", 1)
        if isinstance(repeats, bool) or not isinstance(repeats, int) or repeats < 1:
            raise TaskError(f"repeats is {repeats!r}; it must be a whole number of at least 1.")
        super().__init__(config=fields)
        if repeats > 1 and not fields.get("filter_list"):
            # The default filter would throw all but one response away. Several processes pad the
            # last question with further copies, so the first `repeats` are the question's own.
            self._filters = [build_filter_ensemble("none", [("take_first_k", {"k": repeats})])]

    def build_all_requests(self, **options: Any) -> None:
        """Builds the requests, after making sure that every answer can be judged.

        Args:
            **options: lm-eval's own.

        Raises:
            TaskError: A question's gold answer is not a number.
        """
        for place, doc in enumerate(self.eval_docs):
            gold = str(self.doc_to_target(doc))
            if canonical(gold) is None:
                # Found out now rather than when all candidates have been generated.
                raise TaskError(
                    f"question {doc.get('id', place)!r} (number {place}) of {self.task_name} has "
                    f"the gold answer {gold!r}, which is not a number. Give a plain decimal."
                )
        super().build_all_requests(**options)

    def construct_requests(self, doc: dict[str, Any], ctx: str, **kwargs: Any) -> Instance:
        """Builds the request for one question.

        Args:
            doc: The question's row.
            ctx: The prompt.
            **kwargs: lm-eval's own.

        Returns:
            The request, which says how many candidates the largest k needs; without `return_pool`
            where that is false, because other models refuse settings that they do not know.
        """
        request: Instance = super().construct_requests(doc, ctx, **kwargs)
        settings = request.arguments[1]
        if not settings.get("return_pool"):
            settings.pop("return_pool", None)
        elif self.ks:
            settings["min_candidates"] = -(-max(self.ks) // self.config.repeats)
        return request

    def process_results(self, doc: dict[str, Any], results: Sequence[Any]) -> dict[str, Any]:
        """Judges the responses to one question.

        Args:
            doc: The question's row.
            results: One entry: the response, or the list of responses with `repeats`.

        Returns:
            Metric name -> value, see `pool_metrics`.

        Raises:
            TaskError: A response is a damaged pool, or too small for `ks`.
        """
        if "bypass" in self._metric_fn_list:  # --predict_only
            return dict(super().process_results(doc, results))
        responses = results[0] if isinstance(results[0], list) else [results[0]]
        pool = join_pools([read_response(response) for response in responses])
        gold = str(self.doc_to_target(doc))
        metrics = pool_metrics(pool, gold, ks=self.ks, tolerance=self.tolerance)
        if not all(is_pool(response) for response in responses):
            metrics = {k: v for k, v in metrics.items() if k not in _UNKNOWN_FOR_TEXT}
        for name in metrics:
            self._aggregation_list.setdefault(name, mean)
            if name not in NEUTRAL:
                self._higher_is_better.setdefault(name, name not in LOWER_IS_BETTER)
        return metrics


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
