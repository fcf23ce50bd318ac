"""JSON as Python's `json` writes it: with NaN, Infinity and half characters."""

import json
from typing import TypeVar

import msgspec

T = TypeVar("T")
_DEEP = "its lists or objects are nested too deeply"


def decode(data: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Decode JSON, that of Python's dialect too.

    Args:
        data: one JSON value.
        decoder: of the type that is wanted; the fast way for JSON that follows the standard.

    Returns:
        The value.

    Raises:
        msgspec.ValidationError: it is JSON of another type; the message names the place in it.
        ValueError: it is no JSON, or lists in lists without end.
    """
    try:
        return decoder.decode(data)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        return msgspec.convert(_loads(data), decoder.type)
    except RecursionError as error:
        raise ValueError(_DEEP) from error


def _loads(data: bytes) -> object:
    try:
        return json.loads(data)
    except RecursionError as error:
        raise ValueError(_DEEP) from error
