"""Files that are never seen in part."""

import os
import subprocess
import sys
import time

import pytest

from latent_tts.files import free_bytes, write_at_once

WRITE_OFTEN = """
import sys
from pathlib import Path
from latent_tts.files import write_at_once

for _ in range(200):
    write_at_once(Path(sys.argv[1]), sys.argv[2].encode() * 5000)
"""
WRITE_AND_DIE = """
import os, sys
from pathlib import Path
from latent_tts.files import write_at_once

os.fsync = lambda file: os._exit(9)
write_at_once(Path(sys.argv[1]), b"half")
"""


def program(code, *arguments):
    return subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)])


@pytest.mark.slow
def test_several_programs_may_write_the_same_file(tmp_path):
    path = tmp_path / "file"
    writers = [program(WRITE_OFTEN, path, letter) for letter in "ab"]
    while any(writer.poll() is None for writer in writers):
        if path.exists():
            assert path.read_bytes() in (b"a" * 5000, b"b" * 5000)
    assert [writer.wait() for writer in writers] == [0, 0]
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_program_left_goes_in_time(tmp_path):
    old, new = (tmp_path / f".file.{name}.tmp" for name in ("old", "new"))
    for part in (old, new):
        part.write_bytes(b"half")
    os.utime(old, (time.time() - 7200,) * 2)
    write_at_once(tmp_path / "file", b"whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".file.new.tmp", "file"]


def test_what_a_killed_program_of_this_machine_left_goes_at_once(tmp_path):
    assert program(WRITE_AND_DIE, tmp_path / "file").wait() == 9
    assert len(list(tmp_path.glob(".file.*.tmp"))) == 1
    write_at_once(tmp_path / "file", b"whole")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_cannot_be_written_leaves_nothing(tmp_path):
    (tmp_path / "file").mkdir()
    with pytest.raises(OSError, match="file"):
        write_at_once(tmp_path / "file", b"whole")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_room_is_known_of_folders_that_are_not_there_yet(tmp_path):
    assert free_bytes(tmp_path / "a" / "b") > 0
