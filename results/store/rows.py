"""The lines of a store's files: JSON Lines, each with a checksum of its own."""

import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec

from ..errors import ResultsError

VERSION = 1


class StoreError(ResultsError):
    """A store that cannot be read or written; the message says what to do."""


class Header(msgspec.Struct, frozen=True, tag="store", tag_field="kind"):
    """The first line of a file.

    Attributes:
        version: of the format.
        identity: digest of what made the samples.
        byte_order: of the machine that wrote, by which digests of weights differ.
    """

    version: int
    identity: str
    byte_order: str = "little"


Count = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]


class Sampled(msgspec.Struct, frozen=True, tag="sampled", tag_field="kind"):
    """A finished sample.

    Attributes:
        question: digest of the prompt's token ids.
        sample: its index, with seed and prompt the address of all of its random numbers.
        thoughts: how many.
        answer_ids: tokens of the answer.
        truncated: whether the answer was cut off before its end.
        file: of its thoughts, if they are kept.
    """

    question: str
    sample: Count
    thoughts: Count
    answer_ids: tuple[Count, ...]
    truncated: bool
    file: str | None = None


class Scored(msgspec.Struct, frozen=True, tag="scored", tag_field="kind"):
    """What a reward model says of a finished sample.

    Attributes:
        question: as of the sample.
        sample: as of the sample.
        reward_model: digest of it.
        step_rewards: of each thought; None stands for what is no number.
    """

    question: str
    sample: Count
    reward_model: str
    step_rewards: tuple[float | None, ...]


class Beam(msgspec.Struct, frozen=True):
    """A beam that a search ended with.

    Attributes:
        thoughts: how many.
        answer_ids: tokens of the answer.
        truncated: whether the answer was cut off before its end.
        step_rewards: of each thought; None stands for what is no number.
    """

    thoughts: Count
    answer_ids: tuple[Count, ...]
    truncated: bool
    step_rewards: tuple[float | None, ...]


class Searched(msgspec.Struct, frozen=True, tag="searched", tag_field="kind"):
    """What a beam search of a question found.

    Attributes:
        question: as of samples.
        search: of how many beams and candidates, guided by which reward model.
        beams: the best first.
    """

    question: str
    search: str
    beams: tuple[Beam, ...]


class Labelled(msgspec.Struct, frozen=True, tag="labelled", tag_field="kind"):
    """What the thoughts of a question's samples are worth, where they were labelled.

    Attributes:
        question: as of the samples, which are those from 0 on.
        number: of the question in its set.
        id: its name there.
        gold: its right answer.
        prompt: token ids.
        answers: of each sample; None where none was found.
        right: whether each sample's answer is right.
        labels: of each sample, of each of its thoughts.
    """

    question: str
    number: Count
    id: str
    gold: str
    prompt: tuple[Count, ...]
    answers: tuple[str | None, ...]
    right: tuple[bool, ...]
    labels: tuple[tuple[float, ...], ...]


Row = Sampled | Scored | Searched | Labelled
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Header | Row)


def encode_line(row: Header | Row) -> bytes:
    """Return a row as a line: a list of its checksum and itself."""
    text = _encoder.encode(row)
    return b'["%08x",%b]\n' % (zlib.crc32(text), text)


def read_rows(path: Path, identity: str) -> Iterator[Row]:
    """Yield the rows of a file; what a killed program left of its last line is no row.

    Args:
        path: the file.
        identity: digest of what made the samples.

    Raises:
        StoreError: it cannot be read, is of another version or identity, or is damaged.
    """
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror or error}.") from error
    for number, line in enumerate(lines, start=1):
        row = _decode_line(line)
        if row is None:
            if number == len(lines):
                return
            raise StoreError(
                f"{path}, line {number}: damaged, its checksum does not match. Put the file aside "
                "(what it holds is sampled again), or give another store=."
            )
        if isinstance(row, Header) != (number == 1):
            raise StoreError(f"{path}, line {number}: no file of a store. Put it aside.")
        if isinstance(row, Header):
            if (row.version, row.identity) != (VERSION, identity):
                raise StoreError(
                    f"{path} is of version {row.version} and of samples {row.identity}; read are "
                    f"version {VERSION} and samples {identity}. Put it aside, or give another "
                    "store=."
                )
            if row.byte_order != sys.byteorder:
                raise StoreError(
                    f"{path} was written on a machine of another byte order ({row.byte_order}-"
                    f"endian; this one is {sys.byteorder}-endian). Put it aside, or give another "
                    "store=."
                )
        else:
            yield row


def _decode_line(line: bytes) -> Header | Row | None:
    """Return the row of a line, None where it is damaged."""
    checksum, text = line[2:10], line[12:-2]
    if line[:2] != b'["' or line[-2:] != b"]\n" or checksum != b"%08x" % zlib.crc32(text):
        return None
    try:
        return _decoder.decode(text)
    except msgspec.DecodeError:
        return None
