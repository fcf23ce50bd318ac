"""How a user's mistake is shown: one line, by our command and where lm-eval's own runs us."""

import errno
import re
import sqlite3
import sys
import warnings
from pathlib import Path
from types import TracebackType

from ..errors import LatentTTSError

# As torch and safetensors, which raise no OSError, say that the disk is full.
_UNWRITTEN = re.compile(r"inline_container|PytorchStreamWriter|No space left|os error \d+")
_PACKAGE = str(Path(__file__).parents[1])
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def explain(error: BaseException) -> str | None:
    """Return what to tell the user of an error that can be mended; None for any other."""
    if isinstance(error, LatentTTSError):
        return str(error)
    if isinstance(error, sqlite3.Error):  # lm-eval's, where it opens its cache or fills it anew
        return (
            f"The file of --use_cache cannot be read or written: {error}. Free space, or name "
            "another file. A run goes on from the responses that are there."
        )
    if isinstance(error, OSError) and (error.filename or error.errno in _FULL):
        return f"{error}. Free space, or name another place."
    named = type(error).__name__ in ("RuntimeError", "SafetensorError")
    if named and _UNWRITTEN.search(str(error)):
        return (
            f"a file could not be written: {error}. Is the disk full? Free space and repeat the "
            "command: a training goes on from its newest complete checkpoint."
        )
    return None


def hide_traceback() -> None:
    """Print a user's mistake or a warning as one line where lm-eval's command is the program.

    lm-eval lets exceptions reach the interpreter, which would show thirty lines of its own calls
    before ours. In any other program, and for any other error, nothing changes.
    """
    from .lm_eval_seam import runs_lm_eval  # `latent-tts --help` needs no lm-eval

    if sys.excepthook is sys.__excepthook__ and runs_lm_eval():
        sys.excepthook = _show
        plain = warnings.formatwarning

        def one_line(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            line: str | None = None,
        ) -> str:
            if category is UserWarning and filename.startswith(_PACKAGE):
                return f"warning: {message}\n"
            return plain(message, category, filename, lineno, line)

        warnings.formatwarning = one_line


def _show(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    message = explain(error)
    if message is None:
        sys.__excepthook__(kind, error, traceback)
    else:
        print(f"error: {message}", file=sys.stderr)
