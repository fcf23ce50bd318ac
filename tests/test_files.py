"""Files that are never seen in part."""

import multiprocessing
import os
import time

import pytest

from latent_tts.files import free_bytes, write_at_once


def write_often(path, content):
    for _ in range(200):
        write_at_once(path, content)


def test_several_programs_may_write_the_same_file(tmp_path):
    path = tmp_path / "file"
    contents = [bytes([number]) * 5000 for number in range(2)]
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write_often, args=(path, one)) for one in contents]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        if path.exists():
            assert path.read_bytes() in contents
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_program_left_goes_in_time(tmp_path):
    old, new = (tmp_path / f".file.{name}.tmp" for name in ("old", "new"))
    for part in (old, new):
        part.write_bytes(b"half")
    os.utime(old, (time.time() - 7200,) * 2)
    write_at_once(tmp_path / "file", b"whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".file.new.tmp", "file"]


def test_what_a_killed_program_of_this_machine_left_goes_at_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    writer = context.Process(target=write_and_die, args=(tmp_path / "file",))
    writer.start()
    writer.join()
    assert len(list(tmp_path.glob(".file.*.tmp"))) == 1
    write_at_once(tmp_path / "file", b"whole")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def write_and_die(path):
    os.fsync = lambda file: os._exit(9)
    write_at_once(path, b"half")


def test_what_cannot_be_written_leaves_nothing(tmp_path):
    (tmp_path / "file").mkdir()
    with pytest.raises(OSError, match="file"):
        write_at_once(tmp_path / "file", b"whole")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_room_is_known_of_folders_that_are_not_there_yet(tmp_path):
    assert free_bytes(tmp_path / "a" / "b") > 0
