"""How numbers look in every report: shares, errors, intervals and dashes."""

import math
from decimal import ROUND_HALF_UP, Context, Decimal

import pandas as pd

DASH = "–"
_WIDE = Context(prec=400)  # holds every float with its decimals


def rounded(value: float, decimals: int, *, signed: bool = False) -> str:
    """Return a number as all reports write it: rounded once, half away from zero.

    A number is taken as a reader would write it, in 12 digits: 0.4825 is no 0.48249999999999998,
    so that it is 48.3% wherever it stands. What is rounded to 0 has no minus.

    Args:
        value: a number; a dash where it is NaN.
        decimals: that are shown.
        signed: whether a plus is written too.
    """
    if math.isnan(value):
        return DASH
    if math.isinf(value):
        return str(value)
    unit, digits = Decimal(1).scaleb(-decimals), Decimal(f"{value:.12g}")
    exact = digits.quantize(unit, ROUND_HALF_UP, _WIDE)
    return f"{abs(exact) if exact.is_zero() else exact:{'+' if signed else ''}f}"


def percent(share: float, *, signed: bool = False) -> str:
    """Return a share in per cent with one decimal, `57.8`; see `rounded`."""
    return rounded(100 * share, 1, signed=signed)


def plus_minus(value: float | None, stderr: float | None, *, in_percent: bool = True) -> str:
    """Return a mean with its standard error, `57.8 ± 2.2` or `0.5780 ± 0.0221`.

    Args:
        value: a share; a dash where it is None or NaN.
        stderr: its standard error, left out where it is None or NaN.
        in_percent: whether to write per cent with one decimal, else the share with four.
    """
    if value is None or math.isnan(value):
        return DASH
    known = [value] if stderr is None or math.isnan(stderr) else [value, stderr]
    return " ± ".join(percent(x) if in_percent else rounded(x, 4) for x in known)


def number(value: object) -> str:
    """Return a number as briefly as a table wants it, a text as it is, nothing as a dash."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return DASH
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return str(value)


def plain(table: pd.DataFrame, *, decimals: int = 4, index: bool = True) -> str:
    """Return a table for a terminal."""
    return str(
        table.to_string(
            float_format=lambda value: rounded(value, decimals), na_rep=DASH, index=index
        )
    )
