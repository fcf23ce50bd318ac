"""How many candidates of two runs cost the same."""

from ..errors import ResultsError
from ..runs.metrics import largest_k
from ..runs.record import Run


def equal_counts(a: Run, b: Run, *, by: str) -> tuple[int, int]:
    """Return of how many candidates each strategy may choose, so that both spend as much.

    Args:
        a: a run of a task.
        b: another of the same task.
        by: `samples`, or `flops`: 2 x parameters x (thoughts + answer tokens) of each candidate, as
            the board has it, without the prompt. Whole candidates are counted, so that the
            cheaper run may leave less than one of its own unspent.

    Raises:
        ResultsError: what a candidate of a run costs is not known.
    """
    most = [largest_k(run.metrics) for run in (a, b)]
    if by == "samples":
        return min(most), min(most)
    costs = [candidate_cost(run) for run in (a, b)]
    budget = min(count * cost for count, cost in zip(most, costs, strict=True))
    # Against the rounding of a quotient that is a whole number.
    first, second = (max(1, int(budget / cost * (1 + 1e-9))) for cost in costs)
    return first, second


def candidate_cost(run: Run) -> float:
    """Return the floating-point operations of one candidate, a mean over questions.

    Raises:
        ResultsError: the run does not say what it costs.
    """
    tokens = [run.mean(name) for name in ("thoughts", "answer_tokens")]
    known = [one for one in tokens if one is not None]
    if len(known) < len(tokens) or not run.config.parameters or run.config.stop:
        raise ResultsError(
            f"{run.name} does not say what a candidate costs (parameters, thoughts and answer "
            "tokens, of a run without stop=), so it cannot be compared at equal flops. Compare at "
            "equal samples."
        )
    return 2.0 * run.config.parameters * sum(known)
