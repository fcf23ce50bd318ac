"""How a user's mistake is shown when lm-eval's own command runs us."""

import sys
from pathlib import Path
from types import TracebackType

from ..errors import LatentTTSError


def hide_traceback() -> None:
    """Print a user's mistake as one line where lm-eval's command line is the program.

    lm-eval lets exceptions reach the interpreter, which would show thirty lines of its own calls
    before ours. In any other program, and for any other error, nothing changes.
    """
    program = getattr(sys.modules.get("__main__"), "__package__", None)
    by_name = Path(sys.argv[0]).stem in ("lm_eval", "lm-eval", "latent-tts")
    if sys.excepthook is sys.__excepthook__ and (program == "lm_eval" or by_name):
        sys.excepthook = _show


def _show(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if issubclass(kind, LatentTTSError):
        print(f"error: {error}", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, traceback)
