"""Soft labels in their file: what is read is what was written, and nobody else's are taken."""

import pytest
import torch
from safetensors.torch import save_file

from latent_tts.models import ModelError
from latent_tts.models.training import OBJECTIVES
from latent_tts.models.training.soft_labels import read_soft_labels
from tests.models.training.conftest import PROBLEMS
from tests.models.training.thinkers import labels_of

START = {"weights": "a" * 32}
STAGE_2 = OBJECTIVES["latent_sft"]


@pytest.fixture
def file(tmp_path):
    thoughts = [
        (torch.tensor([[3, 1], [4, 2]])[:n], torch.tensor([[0.75, 0.25], [1.0, 0.0]])[:n])
        for n in (2, 0, 1)
    ]
    file = tmp_path / "labels" / "soft_labels.safetensors"
    labels_of(PROBLEMS[:3], thoughts).write(file, START)
    return file


def begin(file, problems=PROBLEMS[:3], start=START, size=2):
    return STAGE_2(soft_labels=str(file), thought_tokens=size).begin(problems, start)


def test_an_examples_thoughts_are_those_that_were_written(file):
    labels = read_soft_labels(str(file))
    assert (labels.size, labels.rate, labels.start) == (2, 2, START)
    assert labels.of(PROBLEMS[0]).ids.tolist() == [[3, 1], [4, 2]]
    assert labels.of(PROBLEMS[0]).weights.tolist() == [[0.75, 0.25], [1.0, 0.0]]
    assert len(labels.of(PROBLEMS[1]).ids) == 0
    assert labels.of(PROBLEMS[2]).ids.tolist() == [[3, 1]]
    assert begin(file) == {"labels": labels.digest}
    assert begin(file, PROBLEMS[2:3]) == {"labels": labels.digest}  # some of the data


def test_labels_of_another_size_are_refused(file):
    with pytest.raises(ModelError, match="mix 2 tokens to a thought, and thought_tokens is 10"):
        begin(file, size=10)


@pytest.mark.parametrize("start", [{"weights": "b" * 32}, {**START, "adapter": "c" * 32}])
def test_labels_of_another_model_are_refused(file, start):
    with pytest.raises(ModelError, match=r"for other weights \(weights aaaaaaaaaaaa….*Start from"):
        begin(file, start=start)


def test_labels_of_other_data_are_refused(file):
    with pytest.raises(ModelError, match=r"no thoughts for the example 'Add 3.*other data"):
        begin(file, PROBLEMS[:4])


def test_a_file_that_is_none_or_was_damaged_is_refused(file, tmp_path):
    with pytest.raises(ModelError, match=r"cannot be read .*objective latent_sft_labels leaves"):
        begin(tmp_path / "none")
    other = tmp_path / "other.safetensors"
    save_file({"ids": torch.zeros(2)}, other)
    with pytest.raises(ModelError, match="it says that it is None"):
        begin(other)
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(ModelError, match="its content is not what was written"):
        begin(file)
    file.write_bytes(content[:40])
    with pytest.raises(ModelError, match="cannot be read as soft labels"):
        begin(file)


def test_a_file_that_was_written_again_is_read_again(file):
    before = begin(file)
    labels_of(PROBLEMS[:1], [(torch.ones(1, 2), torch.ones(1, 2))]).write(file, START)
    assert begin(file, PROBLEMS[:1]) != before
