"""How numbers look in every report: shares, errors, intervals and dashes."""

import math

import pandas as pd

DASH = "–"


def plus_minus(value: float | None, stderr: float | None, *, percent: bool = True) -> str:
    """Return a mean with its standard error, `57.8 ± 2.2` or `0.5780 ± 0.0221`.

    Args:
        value: a share; a dash where it is None or NaN.
        stderr: its standard error, left out where it is None or NaN.
        percent: whether to write per cent with one decimal, else the share with four.
    """
    factor, digits = (100, 1) if percent else (1, 4)
    texts = [f"{factor * x:.{digits}f}" for x in (value, stderr) if x is not None and x == x]
    return DASH if value is None or value != value else " ± ".join(texts)


def number(value: object) -> str:
    """Return a number as briefly as a table wants it, a text as it is, nothing as a dash."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return DASH
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return str(value)


def plain(table: pd.DataFrame, *, decimals: int = 4) -> str:
    """Return a table for a terminal."""
    return str(table.to_string(float_format=f"{{:.{decimals}f}}".format, na_rep=DASH))
