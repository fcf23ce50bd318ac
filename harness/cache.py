"""What lm-eval's --use_cache keeps: responses, under a seal of all that made them."""

import json
import logging
import sqlite3
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any

from ..differences import differences
from ..models import ModelError
from .lm_eval_seam import cache_key, take_responses

_PREFIX = "latent_tts:"
_SEAL = f"{_PREFIX}settings"
_FORMAT = f"{_PREFIX}format"  # absent from caches whose responses lie under lm-eval's own keys


class ResponseCache:
    """Responses by prompt and generation settings, of one checkpoint, seed and sampler.

    lm-eval's cache knows a response by its prompt and gen_kwargs alone, so without a seal a run
    with another checkpoint, seed or sampler would be answered from the old one. And lm-eval answers
    from it before the model sees the request, so that a model could not say which settings a task
    had, nor whose question it was. So responses lie under keys of our own, and every request comes.

    Args:
        store: lm-eval's, which --use_cache opened.
        record: all that determines a response beside prompt and gen_kwargs.

    Raises:
        ModelError: the cache was filled under another record, or its file cannot be written.
    """

    def __init__(self, store: MutableMapping[str, Any], record: Mapping[str, Any]) -> None:
        # sqlitedict logs forty lines of its stack for what is raised anyway.
        logging.getLogger("sqlitedict").setLevel(logging.CRITICAL)
        self._store = store
        self._file = str(getattr(store, "filename", "of --use_cache"))
        with self._readable():
            self._check_seal(record)
            take_responses(store, _PREFIX, keep=_FORMAT not in store)
            store[_FORMAT] = 2

    def get(self, arguments: tuple[str, Mapping[str, Any]]) -> str | None:
        """Return the response to a prompt under generation settings; None if it is not there."""
        with self._readable():
            found: str | None = self._store.get(_PREFIX + cache_key(arguments))
        return found

    def put(self, arguments: tuple[str, Mapping[str, Any]], response: str) -> None:
        """Keep a response: it is on disk when this returns, so that a killed run loses nothing."""
        with self._readable():
            self._store[_PREFIX + cache_key(arguments)] = response

    def _check_seal(self, record: Mapping[str, Any]) -> None:
        ours = json.loads(json.dumps(record))
        found = self._store.get(_SEAL)
        if found is None and len(self._store):
            raise ModelError(
                f"The cache {self._file!r} was filled by another model. Name another --use_cache "
                "file."
            )
        if found is None:
            self._store[_SEAL] = json.dumps(ours, sort_keys=True)
            return
        different = _different(json.loads(found), ours)
        if different:
            raise ModelError(
                f"The cache {self._file!r} was filled under other settings: "
                f"{'; '.join(different)}. Name another --use_cache file, or repeat that command."
            )

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise ModelError(
                f"The cache {self._file!r} cannot be read or written: {error}. Every response "
                "before is in it: free space or repair the file, then repeat the command, which "
                "goes on from there; or leave out --use_cache."
            ) from error


def _different(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return what differs, but what was given only where what follows from it does not."""
    found = differences(old, new)
    followed = {name.rpartition(".")[2] for name in found if not name.startswith("given.")}
    return [
        words
        for name, words in found.items()
        if name.removeprefix("given.") not in followed or not name.startswith("given.")
    ]
