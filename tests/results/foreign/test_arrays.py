"""Arrays and files beside them that cannot be used."""

import json
import os
import re
import zipfile

import numpy as np
import pytest

from latent_tts.results import ResultsError
from latent_tts.results.foreign import read_foreign
from latent_tts.tasks import TaskError

RIGHT = np.array([[1, 0], [0, 0]])


class Hostile:
    """A pickle that makes a folder when it is loaded."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def save(folder, array, name="a.npy"):
    np.save(folder / name, array)
    return folder / name


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (RIGHT * 2, "holds 2. Expected whole numbers 0 (wrong) and 1 (right)"),
        (RIGHT * -1, "holds -1."),
        (RIGHT * 0.5, "holds 0.5."),
        (RIGHT * np.nan, "holds nan."),
        (np.zeros((3, 2, 4)), "holds the outcomes of 3 models, [3, 2, 4]. A run is one model's"),
        (np.zeros((1, 1, 2, 2)), "holds float64[1, 1, 2, 2]"),
        (np.zeros((0, 4)), "holds float64[0, 4]"),
        (np.array(["1", "0"]), "holds <U1[2]"),
        (np.array([[1j, 0]]), "holds complex128[1, 2]"),
        (np.array(1), "holds int64[]"),
    ],
)
def test_arrays_that_hold_no_outcomes(tmp_path, array, message):
    with pytest.raises(ResultsError, match=re.escape(message)):
        read_foreign(save(tmp_path, array))


@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_pickles_are_not_loaded(tmp_path, suffix):
    file = tmp_path / f"a.{suffix}"
    array = np.array([Hostile(tmp_path / "made")], dtype=object)
    if suffix == "npy":
        np.save(file, array, allow_pickle=True)
    else:
        np.savez(file, R=array)
    with pytest.raises(ResultsError, match="Pickled objects are never read"):
        read_foreign(file)
    assert not (tmp_path / "made").exists()


def test_damaged_arrays(tmp_path):
    file = save(tmp_path, RIGHT)
    whole = file.read_bytes()
    for content in (whole[:-3], whole[:20], whole[:7], b"PK\x03\x04", b"PK"):
        file.write_bytes(content)
        with pytest.raises(ResultsError, match="cannot be read as numpy's array"):
            read_foreign(file)
    file.write_bytes(whole.replace(b"(2, 2)", b"(9999999999, 99999999)")[: len(whole)])
    with pytest.raises(ResultsError, match="cannot be read as numpy's array"):
        read_foreign(file)


def test_several_arrays_need_one_called_r(tmp_path):
    np.savez(tmp_path / "a.npz", one=RIGHT, two=RIGHT)
    with pytest.raises(ResultsError, match=r"holds the arrays one, two\. Call that .* R"):
        read_foreign(tmp_path / "a.npz")
    with zipfile.ZipFile(tmp_path / "b.npz", "w"):
        pass
    with pytest.raises(ResultsError, match="holds the arrays none"):
        read_foreign(tmp_path / "b.npz")
    np.savez(tmp_path / "c.npz", R=RIGHT, scores=np.zeros((2, 3)))
    with pytest.raises(ResultsError, match=r"scores are float64\[2, 3\], and must be numbers"):
        read_foreign(tmp_path / "c.npz")


@pytest.mark.parametrize(
    ("beside", "message"),
    [
        ("{", "What stands beside an array is at least"),
        ({}, "missing required field `question_ids`"),
        ({"question_ids": ["a"]}, "has 1 question_ids for 2 questions"),
        ({"question_ids": ["a", "a"]}, r"id 'a' stands already at .*question 0"),
        ({"question_ids": ["a", "b"], "golds": ["1"]}, "has 1 golds for 2 questions"),
        ({"question_ids": ["a", "b"], "judge": "maths"}, "judge is 'maths'"),
        ({"question_ids": ["a", "b"], "tolerance": "-1"}, "tolerance is '-1'"),
        (
            {"question_ids": ["a", "b"], "golds": ["1", "2"], "answers": [["1", "3"], ["1"]]},
            "question 1: 1 answers for 2 outcomes",
        ),
        (
            {"question_ids": ["a", "b"], "golds": ["1", "x"], "answers": [["1", "3"], ["1", "1"]]},
            "gold 'x'. As many as outcomes are needed, and a gold that is a number",
        ),
        (
            {"question_ids": ["a", "b"], "golds": ["1", "2"], "answers": [["1", "3"], ["2", "1"]]},
            r"question 1: R has 0 for the answer '2' where gold is '2'",
        ),
    ],
)
def test_files_beside_an_array_that_do_not_fit(tmp_path, beside, message):
    file = save(tmp_path, RIGHT)
    if isinstance(beside, dict) and "answers" in beside:
        beside |= {"judge": "number"}
    text = beside if isinstance(beside, str) else json.dumps(beside)
    file.with_suffix(".json").write_text(text)
    with pytest.raises((ResultsError, TaskError), match=message):
        read_foreign(file)
