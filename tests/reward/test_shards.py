"""Labelled questions on disk: whole or not there, known by what made them."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch
from msgspec.structs import replace

from latent_tts.models import AutoLatentModel
from latent_tts.models.identity import checkpoint_digest
from latent_tts.results import ResultsError
from latent_tts.results.store import Store, question_digest
from latent_tts.reward import RewardError
from latent_tts.reward.errors import CorruptShardError
from latent_tts.reward.labels import LabelledQuestion
from latent_tts.reward.shard_index import ShardIndex, questions_digest
from latent_tts.reward.shards import INDEX, Shards
from latent_tts.tasks import Question

OLD = Path(__file__).with_name("old_shards")
BASE = ShardIndex(
    backbone="coconut",
    checkpoint="abc",
    settings={"seed": 0, "noise_std": 0.6, "max_latent_length": None},
    rollouts=16,
    questions="def",
    count=10,
    shard_size=4,
)


def entry(index, *, depth=3, beyond=0.0):
    """A labelled question; old shards hold something beyond a trajectory's length."""
    generator = torch.Generator().manual_seed(index)
    lengths = torch.tensor([depth, max(0, depth - 2)])
    there = (torch.arange(depth) < lengths.unsqueeze(1)).float() + beyond
    thoughts = torch.randn(2, depth, 5, generator=generator)
    labels = torch.rand(2, depth, generator=generator)
    return LabelledQuestion(
        id=f"q{index}",
        gold="5",
        prompt=tuple(range(index + 1)),
        answers=("5", None),
        thoughts=(thoughts * there.unsqueeze(2).clamp(max=1)).half(),
        lengths=lengths,
        labels=labels * there.clamp(max=1),
        right=torch.tensor([True, False]),
        answer_ids=((index, 1), (2,)),
        truncated=(False, True),
    )


def made(indices):
    return {index: entry(index, depth=index % 4) for index in indices}


def written(folder, index=BASE):
    shards = Shards.begin(folder, index)
    shards.write(made(range(index.count)))
    shards.close()
    return shards


def check_equal(found, expected, *, but=()):
    for field in dataclasses.fields(LabelledQuestion):
        one, other = getattr(found, field.name), getattr(expected, field.name)
        if field.name in but:
            continue
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
    found = dict(shards.entries())
    assert list(found) == list(range(10))
    for index, one in found.items():
        check_equal(one, entry(index, depth=index % 4))


def test_a_folder_is_a_store_of_its_trajectories(tmp_path):
    written(tmp_path)
    store = Store(tmp_path, dataclasses.asdict(BASE))
    rows = store.samples(question_digest(range(4)))
    assert [(row.answer_ids, row.truncated, row.thoughts) for row in rows.values()] == [
        ((3, 1), False, 3),
        ((2,), True, 1),
    ]
    expected = entry(3).thoughts[0].numpy()
    assert (store.thoughts(rows[0]) == expected).all()


def test_shards_of_an_earlier_version_are_read_and_gone_on_with(tmp_path, caplog):
    """Written by commit 65d46f7: eight of ten questions, in two shards."""
    shutil.copytree(OLD, tmp_path / "old")
    shards = Shards.begin(tmp_path / "old", BASE)
    found = dict(shards.entries())
    assert list(found) == list(range(8))
    for index, one in found.items():
        expected = entry(index, depth=index % 4, beyond=1.0)
        check_equal(one, expected, but=("answer_ids", "truncated"))
    shards.write(made([8, 9]))
    assert list(dict(Shards.open(tmp_path / "old").entries())) == [8, 9, *range(8)]
    path = tmp_path / "old" / "shard-00001.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    assert list(dict(shards.entries())) == [8, 9, 0, 1, 2, 3]
    assert "shard-00001.safetensors is damaged: its checksum does not match" in caplog.text
    path.write_bytes(b"")
    assert list(dict(shards.entries())) == [8, 9, 0, 1, 2, 3]
    assert "shard-00001.safetensors cannot be read" in caplog.text


def test_an_old_shard_of_another_run_or_name_is_refused(tmp_path):
    shutil.copytree(OLD, tmp_path / "old")
    first, second = (tmp_path / "old" / f"shard-0000{n}.safetensors" for n in (0, 1))
    second.write_bytes(first.read_bytes())
    with pytest.raises(RewardError, match=r"00001.* was made by another run") as caught:
        list(Shards.open(tmp_path / "old").entries())
    assert not isinstance(caught.value, CorruptShardError)


def test_a_folder_may_be_read_while_it_is_written(tmp_path):
    shards, seen = Shards.begin(tmp_path, BASE), []
    for index in (2, 0):
        seen.append(sorted(dict(Shards.open(tmp_path).entries())))
        shards.write(made([index]))
    assert seen == [[], [2]]
    assert sorted(dict(Shards.open(tmp_path).entries())) == [0, 2]


def test_several_writers_label_the_same_question(tmp_path):
    first, second = Shards.begin(tmp_path, BASE), Shards.begin(tmp_path, BASE)
    first.write(made([0, 1]))
    second.write(made([1, 2]))
    assert len(list(tmp_path.glob("*/*.jsonl"))) == 2
    found = dict(first.entries())
    assert list(found) == [0, 1, 2]
    check_equal(found[1], entry(1, depth=1))


def test_what_a_killed_run_left_of_a_question_is_no_question(tmp_path):
    written(tmp_path)
    (path,) = tmp_path.glob("*/*.jsonl")
    content = path.read_bytes()
    there = []
    for size in range(len(content) - 600, len(content), 7):
        path.write_bytes(content[:size])
        found = dict(Shards.open(tmp_path).entries())
        assert list(found) == list(range(len(found)))
        for index, one in found.items():
            check_equal(one, entry(index, depth=index % 4))
        there.append(len(found))
    assert there[-1] == 9
    assert there == sorted(there)


@pytest.mark.parametrize("damage", [lambda content: content[:-9], lambda content: b""])
def test_damaged_thoughts_are_named_and_the_rest_usable(tmp_path, caplog, damage):
    shards = written(tmp_path)
    path = next(tmp_path.glob(f"*/thoughts/{question_digest(range(6))}-*"))
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    assert list(dict(shards.entries())) == [n for n in range(10) if n != 5]
    assert path.name in caplog.text
    assert "Question 5: " in caplog.text
    assert "left out" in caplog.text
    again = Shards.begin(tmp_path, BASE)
    again.write(made([5]))
    assert path.read_bytes() == whole
    assert len(dict(again.entries())) == 10


def test_a_damaged_line_is_refused(tmp_path):
    shards = written(tmp_path)
    (path,) = tmp_path.glob("*/*.jsonl")
    path.write_bytes(path.read_bytes().replace(b'"gold":"5"', b'"gold":"6"', 1))
    with pytest.raises(ResultsError, match=r"line 4: damaged.*Put the file aside"):
        list(shards.entries())


@pytest.mark.parametrize(
    "change", [{"number": 10}, {"right": (True,)}, {"labels": ((0.5,), ())}, {"question": "x"}]
)
def test_lines_that_do_not_belong_together_are_left_out(tmp_path, caplog, change):
    written(tmp_path / "sound")
    sound = Store(tmp_path / "sound", dataclasses.asdict(BASE))
    row = sound.labelled()[3]
    shards = Shards.begin(tmp_path / "spoiled", BASE)
    store = Store(tmp_path / "spoiled", dataclasses.asdict(BASE))
    samples = list(sound.samples(row.question).values())
    thoughts = [sound.thoughts(sample) for sample in samples]
    store.append(samples, thoughts, labels=replace(row, **change))
    assert dict(shards.entries()) == {}
    assert "do not belong together" in caplog.text


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
