"""A store keeps what is finished, whoever writes and whatever breaks."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys

import msgspec
import numpy as np
import pytest

from latent_tts.results.store import Beam, Sampled, Scored, Searched, Store, StoreError
from latent_tts.results.store.appended import Appended

IDENTITY = {"checkpoint": "c0", "settings": {"noise_std": 0.6, "seed": 1}}


def row(sample, question="q", **more):
    return Sampled(question, sample, 3, (5, 6, sample), False, **more)


def filled(root, *samples, identity=IDENTITY):
    store = Store(root, identity)
    store.append([row(sample) for sample in samples])
    store.close()
    return store


def the_file(root):
    (path,) = root.glob("*/*.jsonl")
    return path


def test_what_was_appended_is_there_again(tmp_path):
    store = filled(tmp_path, 0, 2)
    store.append_scores([Scored("q", 2, "rm", (0.5, None, -1.25))])
    again = Store(tmp_path, json.loads(json.dumps(IDENTITY)))
    assert again.samples("q") == store.samples("q") == {0: row(0), 2: row(2)}
    assert again.scores("q", "rm") == {2: (0.5, None, -1.25)}
    assert again.scores("q", "another") == {}
    assert again.samples("p") == {}
    assert len(again) == 2
    for path in tmp_path.glob("*/*.jsonl"):
        assert all(json.loads(line) for line in path.read_text().splitlines())


def test_nothing_is_written_before_a_sample_is(tmp_path):
    Store(tmp_path / "store", IDENTITY).close()
    assert not (tmp_path / "store").exists()


def test_several_writers_have_a_file_each(tmp_path):
    stores = [Store(tmp_path, IDENTITY) for _ in range(3)]
    for number, store in enumerate(stores):
        store.append([row(number), row(7)])
    assert len(list(tmp_path.glob("*/*.jsonl"))) == 3
    assert sorted(Store(tmp_path, IDENTITY).samples("q")) == [0, 1, 2, 7]


def test_other_settings_are_another_store(tmp_path):
    filled(tmp_path, 0)
    far = {"checkpoint": "c1", "settings": {"noise_std": 0.6, "seed": 2}}
    filled(tmp_path, 1, identity=far)
    near = {"checkpoint": "c0", "settings": {"noise_std": 0.3, "seed": 1}}
    store = Store(tmp_path, near)
    assert len(store) == 0
    assert store.nearest() == "noise_std was 0.6 and is now 0.3"


def test_of_a_torn_line_nothing_is_believed_and_the_rest_is_kept(tmp_path):
    filled(tmp_path, 0, 1, 2)
    path = the_file(tmp_path)
    content = path.read_bytes()
    ends = [index + 1 for index, byte in enumerate(content) if byte == ord("\n")]
    for length in range(ends[0], len(content)):
        path.write_bytes(content[:length])
        whole = sum(end <= length for end in ends) - 1
        assert sorted(Store(tmp_path, IDENTITY).samples("q")) == list(range(whole)), length


@pytest.mark.parametrize("offset", [2, 15, 60, -5])
def test_a_damaged_line_is_named(tmp_path, offset):
    filled(tmp_path, 0, 1, 2)
    path = the_file(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    damaged = bytearray(lines[2])
    damaged[offset] ^= 1
    path.write_bytes(b"".join([*lines[:2], bytes(damaged), *lines[3:]]))
    with pytest.raises(StoreError, match=rf"{path.name}, line 3: damaged.*Put the file aside"):
        Store(tmp_path, IDENTITY)


def test_a_file_of_another_version_or_store(tmp_path, monkeypatch):
    other = {"checkpoint": "c1"}
    filled(tmp_path, 0)
    source = the_file(tmp_path)
    filled(tmp_path / "b", 0, identity=other)
    os.replace(source, the_file(tmp_path / "b"))
    with pytest.raises(StoreError, match=r"version 1 and of samples \w+; read are version 1 and"):
        Store(tmp_path / "b", other)
    monkeypatch.setattr("latent_tts.results.store.store.VERSION", 2)
    filled(tmp_path / "c", 0)
    monkeypatch.undo()
    with pytest.raises(StoreError, match=r"version 2 and of samples \w+; read are version 1"):
        Store(tmp_path / "c", IDENTITY)


def test_a_store_of_another_byte_order(tmp_path, monkeypatch):
    other = {"little": "big", "big": "little"}[sys.byteorder]
    with monkeypatch.context() as patch:
        patch.setattr(sys, "byteorder", other)
        filled(tmp_path, 0)
    with pytest.raises(StoreError, match=rf"{the_file(tmp_path).name} was .* \({other}-endian;"):
        Store(tmp_path, IDENTITY)


@pytest.mark.parametrize("content", [b'{"checkpoint": "c9"}', b"{", b"[1]", b"\xff"])
def test_a_changed_identity_is_named(tmp_path, content):
    store = filled(tmp_path, 0)
    (store.folder / "identity.json").write_bytes(content)
    with pytest.raises(StoreError, match=r"identity\.json (has another digest|cannot be read)"):
        Store(tmp_path, IDENTITY)


def test_two_writers_never_share_a_file(tmp_path):
    path = tmp_path / "one.jsonl"
    Appended(path, b"first\n")
    with pytest.raises(FileExistsError):
        Appended(path, b"second\n")
    assert path.read_bytes() == b"first\n"


def test_a_process_that_was_forked_writes_a_file_of_its_own(tmp_path):
    store = Store(tmp_path, IDENTITY)
    store.append([row(0)])
    child = os.fork()
    if not child:
        store.append([row(1)])
        os._exit(0)
    store.append([row(2)])
    assert os.waitpid(child, 0)[1] == 0
    assert sorted(Store(tmp_path, IDENTITY).samples("q")) == [0, 1, 2]
    assert len(list(tmp_path.glob("*/*.jsonl"))) == 2


def test_what_a_hostile_store_says_does_not_reach_the_terminal(tmp_path):
    filled(tmp_path, 0, identity={"\x1b[2Ja\n": "\x1b[31m", "checkpoint": "c0"})
    said = Store(tmp_path, {"checkpoint": "c0"}).nearest()
    assert said.isprintable()
    assert "was '\\x1b[31m'" in said


def test_thoughts_lie_in_the_store_and_nowhere_else(tmp_path):
    thoughts = [np.zeros((2, 4), np.float16)]
    store = Store(tmp_path / "a", IDENTITY)
    store.append([row(0)], thoughts)
    file = store.samples("q")[0].file
    other = Store(tmp_path / "b", IDENTITY)
    other.append(
        [row(0, file=f"../../../a/{store.folder.name}/thoughts/{file}"), row(3, file=file)]
    )
    with pytest.raises(StoreError, match=r"cannot be read: .*No such file"):
        other.thoughts(other.samples("q")[0])
    shutil.copytree(store.folder / "thoughts", other.folder / "thoughts")
    with pytest.raises(StoreError, match="does not hold the thoughts of sample 3"):
        other.thoughts(other.samples("q")[3])


@pytest.mark.parametrize("change", [{"sample": -1}, {"thoughts": -1}, {"answer_ids": (2**40,)}])
def test_a_line_of_impossible_numbers_is_named(tmp_path, change):
    store = Store(tmp_path, IDENTITY)
    store.append([msgspec.structs.replace(row(0), **change), row(1)])
    with pytest.raises(StoreError, match=r"line 2: damaged"):
        Store(tmp_path, IDENTITY)


def test_beams_come_back(tmp_path):
    store = Store(tmp_path, IDENTITY)
    found = Searched("q", "2 of 3 by rm", (Beam(2, (5, 6), False, (0.5, None)),))
    store.append_scores([found])
    again = Store(tmp_path, IDENTITY)
    assert again.searched("q", "2 of 3 by rm") == found
    assert again.searched("q", "2 of 2 by rm") is None
    assert again.searched("p", "2 of 3 by rm") is None
    assert len(again) == 0


def test_thoughts_come_back_and_damaged_ones_are_named(tmp_path):
    thoughts = [np.full((2, 4), number, np.float16) for number in range(2)]
    store = Store(tmp_path, IDENTITY)
    store.append([row(0), row(1)], thoughts)
    again = Store(tmp_path, IDENTITY)
    for number in range(2):
        assert np.array_equal(again.thoughts(again.samples("q")[number]), thoughts[number])
    copy = shutil.copytree(tmp_path, tmp_path / "copy")
    again = Store(copy, IDENTITY)
    (file,) = copy.glob("*/thoughts/*.safetensors")
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(StoreError, match=rf"{file.name} is damaged"):
        again.thoughts(again.samples("q")[0])


@pytest.fixture
def little_room():
    """Let no file of this process grow past so many bytes, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def limit(size):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))

    yield limit
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def test_where_no_room_is_left_what_was_written_stays_sound(tmp_path, little_room):
    store = filled(tmp_path, 0)
    store = Store(tmp_path, IDENTITY)
    store.append([row(1)])
    little_room(300)
    with pytest.raises(StoreError, match=r"cannot be written: File too large\. What it holds is"):
        store.append([row(number) for number in range(2, 40)])
    assert sorted(Store(tmp_path, IDENTITY).samples("q")) == [0, 1]
    assert sorted(store.samples("q")) == [0, 1]
    little_room(resource.RLIM_INFINITY)
    store.append([row(5)])
    assert sorted(Store(tmp_path, IDENTITY).samples("q")) == [0, 1, 5]


def test_too_little_room_is_said_before_anything_is_sampled(tmp_path):
    with pytest.raises(StoreError, match=r"needs about 1000000000000 MB, and \d+ MB are free"):
        Store(tmp_path / "a" / "b", IDENTITY).check_space(10**18)


@pytest.mark.slow
def test_a_killed_writer_loses_no_finished_sample(tmp_path):
    program = (
        "import sys, pathlib\n"
        "from latent_tts.results.store import Sampled, Store\n"
        f"store = Store(pathlib.Path(sys.argv[1]), {IDENTITY!r})\n"
        "for number in range(10**9):\n"
        "    store.append([Sampled('q', number, 3, (5, 6, number), False)])\n"
        "    print(number, flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as process:
        told = [process.stdout.readline() for _ in range(300)]
        process.kill()
        told += process.stdout.readlines()
    last = int([line for line in told if line.endswith("\n")][-1])
    found = sorted(Store(tmp_path, IDENTITY).samples("q"))
    assert found[: last + 1] == list(range(last + 1))
    assert len(found) <= last + 2
