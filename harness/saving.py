"""Results of lm-eval that could not be written: an error at the end."""

import atexit
import logging
import os
import sys
import time
from pathlib import Path

from ..results import ResultsError
from .lm_eval_seam import SAVING


def results_folder(output_path: str) -> Path:
    """Return the folder that lm-eval makes of --output_path."""
    path = Path(output_path)
    return path.parent if path.suffix == ".json" else path


class SavedResults(logging.Handler):
    """Learns whether lm-eval saved its results: it says so in a warning and goes on.

    Args:
        output_path: what --output_path names.
    """

    def __init__(self, output_path: str) -> None:
        super().__init__(logging.WARNING)
        self._path, self._error = output_path, ""
        self._since = time.time()
        if not SAVING.isEnabledFor(logging.WARNING):
            SAVING.setLevel(logging.WARNING)
        SAVING.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the error of a warning that something could not be saved."""
        if record.getMessage().startswith("Could not save"):
            self._error = self._error or str(sys.exc_info()[1])

    def finish(self) -> str:
        """Return where the results lie, empty where there are none.

        Raises:
            ResultsError: they could not be written.
        """
        SAVING.removeHandler(self)
        if self._error:
            raise ResultsError(
                f"--output_path {self._path} could not be written: {self._error}. The numbers "
                "stand above and nowhere else; what lies there is incomplete. Free space or name "
                "another place, and run again (with --use_cache a run goes on where it stopped)."
            )
        files = results_folder(self._path).rglob("*_*.json")
        new = [file for file in files if file.stat().st_mtime >= self._since - 1]
        return ", ".join(map(str, sorted(new)))

    def finish_at_exit(self) -> None:
        """Do the same when the program ends, for lm-eval's own command: exit code 1 if it failed.

        Python takes no exit code from what it calls at the end, so the process ends here then.
        """
        atexit.register(self._end)

    def _end(self) -> None:
        try:
            files = self.finish()
        except ResultsError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(1)
        if files:
            print(f"Results: {files}", file=sys.stderr)
