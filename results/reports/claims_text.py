"""What came of claims as a table of numbers, and as a page of Markdown."""

from collections.abc import Sequence

import pandas as pd

from .claims import VERDICTS, Finding
from .table import percent, plus_minus, rounded


def claims_table(findings: Sequence[Finding]) -> pd.DataFrame:
    """Return findings as a table of numbers: a row a claim and task."""
    return pd.DataFrame(
        {
            "claim": one.claim.says,
            "task": one.task,
            "a": f"{one.claim.a.run}: {one.claim.a.metric}",
            "b": f"{one.claim.b.run}: {one.claim.b.metric}",
            "a_mean": one.row.a,
            "a_stderr": one.row.a_stderr,
            "b_mean": one.row.b,
            "b_stderr": one.row.b_stderr,
            "difference": one.row.paired.difference,
            "low": one.row.paired.low,
            "high": one.row.paired.high,
            "questions": one.row.paired.questions,
            "p": one.p,
            "verdict": VERDICTS[one.verdict],
        }
        for one in findings
    )


def claims_markdown(findings: Sequence[Finding], *, alpha: float) -> str:
    """Return findings as a page of Markdown: what was tested and how, and a row each."""
    head = ["claim", "task", "a", "b", "a − b (95%)", "n", "p", "verdict"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for one in findings:
        row, paired = one.row, one.row.paired
        ends = f"{percent(paired.low, signed=True)} to {percent(paired.high, signed=True)}"
        cells = [
            one.claim.says,
            one.task.removeprefix("latent_tts_"),
            f"{one.claim.a.run}, {one.claim.a.metric}: {plus_minus(row.a, row.a_stderr)}",
            f"{one.claim.b.run}, {one.claim.b.metric}: {plus_minus(row.b, row.b_stderr)}",
            f"{percent(paired.difference, signed=True)} ({ends})",
            str(paired.questions),
            _p(one.p),
            f"**{VERDICTS[one.verdict]}**",
        ]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    counts = [
        f"{sum(one.verdict == key for one in findings)} {word}" for key, word in VERDICTS.items()
    ]
    return "\n".join(
        [
            f"{len(findings)} tests: {', '.join(counts)}. Numbers in per cent with their standard "
            "errors over questions; differences are paired by question, with intervals by Bonett "
            "and Price; p is of the exact two-sided paired test by sign flips, adjusted for all "
            f"{len(findings)} tests together (Holm); shown is what has p ≤ {alpha:g}.",
            "",
            *lines,
            "",
        ]
    )


def _p(p: float) -> str:
    return "< 0.0001" if p < 0.0001 else rounded(p, 4)
