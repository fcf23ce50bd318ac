"""Shards on disk: whole or not there, known by what made them."""

import dataclasses
import json
import os

import pytest
import torch
from msgspec.structs import replace

from latent_tts.models import AutoLatentModel
from latent_tts.models.identity import checkpoint_digest
from latent_tts.reward import RewardError
from latent_tts.reward.errors import CorruptShardError
from latent_tts.reward.labels import LabelledQuestion
from latent_tts.reward.shard_index import ShardIndex, questions_digest
from latent_tts.reward.shards import INDEX, Shards
from latent_tts.tasks import Question

BASE = ShardIndex(
    backbone="coconut",
    checkpoint="abc",
    settings={"seed": 0, "noise_std": 0.6, "max_latent_length": None},
    rollouts=16,
    questions="def",
    count=10,
    shard_size=4,
)


def entry(place, *, depth=3):
    generator = torch.Generator().manual_seed(place)
    lengths = torch.tensor([depth, max(0, depth - 2)])
    thoughts = torch.randn(2, depth, 5, generator=generator).half()
    labels = torch.rand(2, depth, generator=generator)
    return LabelledQuestion(
        id=f"q{place}",
        gold="5",
        prompt=tuple(range(place + 1)),
        answers=("5", None),
        thoughts=thoughts,
        lengths=lengths,
        labels=labels,
        right=torch.tensor([True, False]),
    )


def written(folder, index=BASE):
    shards = Shards.begin(folder, index)
    for shard in range(index.shards):
        shards.write(shard, [entry(place, depth=place % 4) for place in index.questions_of(shard)])
    return shards


def check_equal(found, expected):
    for field in dataclasses.fields(LabelledQuestion):
        one, other = getattr(found, field.name), getattr(expected, field.name)
        if isinstance(one, torch.Tensor):
            assert one.dtype == other.dtype
            assert torch.equal(one, other), field.name
        else:
            assert one == other, field.name


def test_what_is_written_is_read(tmp_path):
    written(tmp_path)
    shards = Shards.open(tmp_path)
    assert shards.index == BASE
    assert [len(BASE.questions_of(shard)) for shard in range(BASE.shards)] == [4, 4, 2]
    entries = [e for shard in range(3) for e in shards.read(shard)]
    for place, found in enumerate(entries):
        check_equal(found, entry(place, depth=place % 4))
    assert shards.complete() == [0, 1, 2]
    assert not list(tmp_path.glob(".*"))


def test_the_same_content_is_the_same_bytes(tmp_path):
    written(tmp_path / "one")
    written(tmp_path / "two")
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_a_folder_may_be_read_while_it_is_written(tmp_path, monkeypatch):
    shards = Shards.begin(tmp_path, BASE)
    seen = []
    replace = type(tmp_path).replace

    def look(self, target):
        seen.append(Shards.open(tmp_path).complete())
        return replace(self, target)

    monkeypatch.setattr(type(tmp_path), "replace", look)
    for shard in (2, 0):
        shards.write(shard, [entry(place) for place in BASE.questions_of(shard)])
    assert seen == [[], [2]]


def test_a_part_that_a_killed_run_left_goes_away(tmp_path):
    shards = Shards.begin(tmp_path, BASE)
    part = tmp_path / ".shard-00000.safetensors.123.tmp"
    part.write_bytes(b"half")
    os.utime(part, (0, 0))
    assert shards.complete() == []
    shards.write(0, [entry(place) for place in BASE.questions_of(0)])
    assert not list(tmp_path.glob(".*"))


def truncate(content):
    return content[: len(content) // 2]


def flip(content):
    return content[:-1] + bytes([content[-1] ^ 1])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (truncate, "shard-00001.safetensors cannot be read"),
        (lambda content: b"", "shard-00001.safetensors cannot be read"),
        (lambda content: b"\xff" * 100, "shard-00001.safetensors cannot be read"),
        (flip, r"shard-00001\.safetensors is damaged: its checksum does not match"),
    ],
)
def test_a_damaged_shard_is_named_and_the_rest_usable(tmp_path, caplog, damage, message):
    shards = written(tmp_path)
    path = shards.path(1)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CorruptShardError, match=message):
        shards.read(1)
    read = []
    assert shards.complete(read.extend) == [0, 2]
    assert [found.id for found in read] == [f"q{place}" for place in (0, 1, 2, 3, 8, 9)]
    assert "shard-00001.safetensors" in caplog.text
    assert "left out" in caplog.text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"checkpoint": "xyz"}, "checkpoint was 'abc' and is now 'xyz'"),
        ({"settings": BASE.settings | {"seed": 1}}, "seed was 0 and is now 1"),
        ({"questions": "xyz"}, "questions was 'def' and is now 'xyz'"),
        ({"rollouts": 8}, "rollouts was 16 and is now 8"),
        ({"shard_size": 5}, "shard_size was 4 and is now 5"),
    ],
)
def test_a_folder_that_other_settings_began(tmp_path, change, message):
    written(tmp_path)
    with pytest.raises(RewardError, match=f"were made otherwise: {message}"):
        Shards.begin(tmp_path, dataclasses.replace(BASE, **change))


def test_a_shard_of_another_run_among_the_others(tmp_path):
    shards = written(tmp_path / "one")
    other = written(tmp_path / "two", dataclasses.replace(BASE, checkpoint="xyz"))
    shards.path(1).write_bytes(other.path(1).read_bytes())
    with pytest.raises(RewardError, match=r"shard-00001.* was made by another run") as caught:
        shards.complete()
    assert not isinstance(caught.value, CorruptShardError)


def test_a_shard_under_another_name(tmp_path):
    shards = written(tmp_path)
    shards.path(1).write_bytes(shards.path(0).read_bytes())
    with pytest.raises(RewardError, match="was made by another run"):
        shards.read(1)


@pytest.mark.parametrize("content", [None, "{", "[]", '{"count": 3}'])
def test_a_folder_without_an_index(tmp_path, content):
    if content is not None:
        (tmp_path / INDEX).write_text(content)
    with pytest.raises(RewardError, match=r"index\.json is no index of shards.*tts annotate"):
        Shards.open(tmp_path)


def test_the_index_can_be_read_by_people(tmp_path):
    Shards.begin(tmp_path, BASE)
    assert json.loads((tmp_path / INDEX).read_text()) == dataclasses.asdict(BASE)


def test_a_checkpoints_digest_is_that_of_its_weights_in_any_precision(checkpoints):
    model = AutoLatentModel.from_pretrained(checkpoints["codi"], dtype="float16")
    digest = checkpoint_digest(model)
    assert checkpoint_digest(model.float()) == digest
    assert checkpoint_digest(AutoLatentModel.from_pretrained(checkpoints["coconut"])) != digest
    with torch.no_grad():
        next(model.parameters())[0, 0] += 1
    assert checkpoint_digest(model) != digest


def test_a_question_sets_digest():
    questions = [Question(id=str(i), text="1+1?", gold="2") for i in range(3)]
    changed = [replace(questions[0], gold="3"), *questions[1:]]
    digests = {questions_digest(set_) for set_ in (questions, questions[::-1], changed)}
    assert len(digests) == 3
    assert questions_digest(list(questions)) in digests
