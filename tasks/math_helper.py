"""The process that compares expressions, see `mathematics.py`.

Reads a JSON list a line, `["equal", gold, answer]` or `["is_expression", text]`, and writes `true`
or `false`.
"""

import json
import re
import sys
from functools import lru_cache
from typing import Any

from math_verify import parse, verify

_MARKED = re.compile(r"\$|\\\(|\\\[|\\boxed")


@lru_cache(maxsize=1 << 12)
def _parsed(text: str) -> list[Any]:
    text = text.replace(r"\$", "")  # the sign of dollars, which is no mark of mathematics
    found: list[Any] = parse(text if _MARKED.search(text) else f"${text}$", parsing_timeout=None)
    return found


def _answer(kind: str, *texts: str) -> bool:
    try:
        found = [_parsed(text) for text in texts]
        if kind == "is_expression":  # what it cannot read comes back as text alone
            return any(not isinstance(each, str) for each in found[0])
        return all(found) and bool(verify(*found, timeout_seconds=None))
    except (ArithmeticError, AttributeError, RecursionError, TypeError, ValueError):
        return False  # what sympy raises on expressions that it cannot compute


if __name__ == "__main__":
    _answer("equal", "1", "1")  # sympy imports more at its first expression
    print("ready", flush=True)
    for line in sys.stdin.buffer:
        print(json.dumps(_answer(*json.loads(line))), flush=True)
