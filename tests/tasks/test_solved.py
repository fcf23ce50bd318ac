"""Training data: two formats, and errors that name file and line."""

import json

import pytest

from latent_tts.tasks import Solved, TaskError, read_solved


def write(folder, *rows):
    file = folder / "train.jsonl"
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return file


def test_steps_are_a_list_or_lines(tmp_path):
    steps = ["<<2+3=5>>", "<<5+4=9>>"]
    rows = [
        {"question": " What? ", "steps": steps, "answer": "1,009.0"},
        {"question": "What?", "steps": "<<2+3=5>>\n\n <<5+4=9>> \n", "answer": 1009, "id": 3},
    ]
    solved = Solved(question="What?", steps=tuple(steps), answer="1009")
    assert read_solved(write(tmp_path, *rows)) == [solved, solved]


def test_gsm8ks_own_format_gives_its_annotations(tmp_path):
    answer = "He has 2+3 = <<2+3=5>>5 pens.\nThat is $<<5*2=10>>10.\n#### 1,010"
    (found,) = read_solved(write(tmp_path, {"question": "How many?", "answer": answer}))
    assert found == Solved(question="How many?", steps=("<<2+3=5>>", "<<5*2=10>>"), answer="1010")
    (found,) = read_solved(write(tmp_path, {"question": "Q", "answer": "Two.\nThree.\n#### 5"}))
    assert found.steps == ("Two.", "Three.")


def test_answers_that_are_no_number_stay_and_steps_may_lack(tmp_path):
    (found,) = read_solved(write(tmp_path, {"question": "Q", "answer": " True "}))
    assert found == Solved(question="Q", steps=(), answer="True")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"question": "Q", "steps": [1, 2], "answer": {}}, "line 2.*answer"),
        ({"question": "Q", "steps": [["a"]], "answer": "5"}, "line 2.*steps"),
        ({"question": "Q", "steps": ["a", " "], "answer": "5"}, "line 2.*steps"),
        ({"question": "Q", "steps": {"a": 1}, "answer": "5"}, "line 2.*steps"),
        ({"question": "Q", "steps": ["a\nb"], "answer": "5"}, "line 2.*line break"),
        ({"steps": ["a"], "answer": "5"}, "line 2.*question"),
        ({"question": "Q", "answer": "Two\n#### "}, "line 2.*no answer after ####"),
        (["Q"], "line 2: not a JSON object"),
    ],
)
def test_a_line_that_does_not_fit_is_named(tmp_path, row, message):
    good = {"question": "Q", "steps": ["a"], "answer": "5"}
    with pytest.raises(TaskError, match=message):
        read_solved(write(tmp_path, good, row))


def test_a_file_without_lines_is_refused(tmp_path):
    with pytest.raises(TaskError, match="holds no questions"):
        read_solved(write(tmp_path))
    with pytest.raises(TaskError, match="cannot read"):
        read_solved(tmp_path / "none.jsonl")
