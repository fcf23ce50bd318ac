"""Mathematical equality by math-verify, asked of a process that can be stopped.

What a model writes may be `9^{9^{9^9}}`, on which sympy computes for ever, within one call that no
signal interrupts. So `math_helper.py` compares, in a process of its own.
"""

import atexit
import json
import logging
import os
import subprocess
import sys
import time
from functools import lru_cache
from threading import Event, Lock, Thread
from typing import IO, cast

import psutil

from .errors import TaskError

LIMIT_S = 5.0
"""Seconds of computing after which a question is given up; the helper is then started anew.

They are the helper's own, of the processor: on a busy machine the same answers are equal.
"""

PATIENCE_S = 300.0
"""Seconds by the clock after which a helper that does not compute either is given up."""

logger = logging.getLogger(__name__)


@lru_cache(maxsize=1 << 16)
def equal(gold: str, answer: str) -> bool:
    """Tell whether math-verify calls an answer equal to a gold; False where that takes too long."""
    if {gold, answer} & _GIVEN_UP:
        return False
    reply = _HELPER.ask("equal", gold, answer)
    if reply is None:  # by itself too? Then it is not tried with every other candidate
        _GIVEN_UP.update(text for text in (gold, answer) if _HELPER.ask("equal", "1", text) is None)
    return bool(reply)


@lru_cache(maxsize=1 << 12)
def is_expression(text: str) -> bool:
    """Tell whether math-verify reads an expression in a text, in LaTeX or plain."""
    return bool(_HELPER.ask("is_expression", text))


class _Helper:
    """The helper process of this process; a forked one starts its own."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._running: dict[int, subprocess.Popen[bytes]] = {}

    def ask(self, *question: str) -> bool | None:
        """Return the answer to a question, None where there is none in time."""
        with self._lock:
            reply = self._exchange(self._process(), question)
            if reply:
                return reply.strip() == b"true"
            self.stop()
            texts = " and ".join(repr(text[:60]) for text in question[1:])
            logger.warning(
                "math-verify has no answer to %s in %g s of computing, which counts as not equal.",
                texts,
                LIMIT_S,
            )
            return None

    @staticmethod
    def _exchange(process: subprocess.Popen[bytes], question: tuple[str, ...]) -> bytes:
        """Return the helper's answer, nothing where it was stopped or ended by itself."""
        answered = Event()
        Thread(target=_stop_when_spent, args=(process, answered), daemon=True).start()
        try:
            entry = cast(IO[bytes], process.stdin)
            entry.write(json.dumps(question).encode() + b"\n")
            entry.flush()
            return cast(IO[bytes], process.stdout).readline()
        except OSError:
            return b""
        finally:
            answered.set()

    def _process(self) -> subprocess.Popen[bytes]:
        process = self._running.get(os.getpid())
        if process is None:
            process = subprocess.Popen(
                [sys.executable, "-m", "latent_tts.tasks.math_helper"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            self._running[os.getpid()] = process
            if not cast(IO[bytes], process.stdout).readline():  # it says when it is ready
                self.stop()
                raise TaskError(
                    "math-verify cannot be started in a process of its own. What says "
                    f"`{sys.executable} -m latent_tts.tasks.math_helper`?"
                )
        return process

    def stop(self) -> None:
        process = self._running.pop(os.getpid(), None)
        if process is not None:
            process.kill()
            process.communicate()  # closes the pipes


def _stop_when_spent(process: subprocess.Popen[bytes], answered: Event) -> None:
    """Kill a helper that has computed on one question for longer than the limit."""
    begun, before = time.monotonic(), None
    while not answered.wait(LIMIT_S / 20):
        try:
            spent = sum(psutil.Process(process.pid).cpu_times()[:2])
        except psutil.Error:  # it has ended by itself
            return
        before = spent if before is None else before
        if spent - before > LIMIT_S or time.monotonic() - begun > PATIENCE_S:
            process.kill()
            return


_HELPER = _Helper()
_GIVEN_UP: set[str] = set()
atexit.register(_HELPER.stop)
