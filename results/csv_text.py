"""Tables as CSV that a spreadsheet shows and never computes."""

import re
from collections.abc import Hashable

import pandas as pd

# What a spreadsheet takes for a formula: names of runs and texts of files are other people's.
_FORMULA = re.compile(r"[=+@\t\n]|-(?!\s*\.?\d[\d.]*(e[+-]?\d+)?\s*$)", re.IGNORECASE)


def csv_text(table: pd.DataFrame, *, float_format: str | None = None) -> str:
    """Return a table as CSV, in which a text that would be a formula begins with an apostrophe.

    Args:
        table: without its index.
        float_format: of numbers, as pandas takes it.
    """
    harmless = table.rename(columns=_harmless)
    for column, kind in enumerate(harmless.dtypes):
        if not pd.api.types.is_numeric_dtype(kind):
            harmless.isetitem(column, harmless.iloc[:, column].map(_harmless))
    text: str = harmless.to_csv(index=False, float_format=float_format)
    return text


def _harmless(value: Hashable) -> Hashable:
    if not isinstance(value, str):
        return value
    # A return alone stands in no quotes, and would end the row.
    text = value.replace("\r\n", "\n").replace("\r", "\n")
    return f"'{text}" if _FORMULA.match(text) else text
