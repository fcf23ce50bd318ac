"""Reading questions from JSONL files."""

import json

import pytest

from latent_tts.errors import LatentTTSError
from latent_tts.tasks import Question, TaskError, read_questions


def write(path, *lines):
    path.write_text("\n".join(x if isinstance(x, str) else json.dumps(x) for x in lines))
    return path


def row(**changes):
    return {"id": 0, "question": "What is 2 + 3?", "answer": "5"} | changes


def test_fields_become_text_and_gold_becomes_canonical(tmp_path):
    file = write(
        tmp_path / "q.jsonl",
        row(answer="$1,200.50", steps=["<<2+3=5>>"]),
        "",
        row(id="b", question=" Spaces? ", answer=-7.0),
    )
    assert read_questions(file) == [
        Question(id="0", text="What is 2 + 3?", gold="1200.5"),
        Question(id="b", text="Spaces?", gold="-7"),
    ]


def test_json_numbers_are_read_digit_for_digit(tmp_path):
    file = write(
        tmp_path / "q.jsonl", '{"id": 1, "question": "?", "answer": 0.10000000000000000001}'
    )
    assert read_questions(file)[0].gold == "0.10000000000000000001"


def test_text_answers_are_read_when_they_need_not_be_numbers(tmp_path):
    file = write(tmp_path / "q.jsonl", row(answer=r" \frac{1}{2} "))
    assert read_questions(file, judge="math")[0].gold == r"\frac{1}{2}"


def test_line_separators_inside_text_do_not_split_a_line(tmp_path):
    file = tmp_path / "q.jsonl"
    file.write_text('{"id": 1, "question": "a\u2028b", "answer": "1"}\r\n', encoding="utf-8")
    assert read_questions(file)[0].text == "a\u2028b"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{not json", r"q\.jsonl, line 2: not JSON"),
        ('{"id": 1, "question": "?", "answer": NaN}', r"line 2: not JSON \(NaN is not"),
        ("[1]", r"line 2: not a JSON object"),
        (
            {"id": 1, "answer": "3"},
            r"line 2: Object missing required field `question`, found \{'id': '1', 'answer'",
        ),
        ({"question": "?", "answer": "3"}, r"line 2: Object missing required field `id`"),
        (row(id=1, question="  "), r"line 2: Expected `str` matching regex .* - at `\$\.question`"),
        (row(id=None), r"line 2: Expected `str`, got `null` - at `\$\.id`"),
        (
            row(id=1, answer="five"),
            r"line 2: answer 'five' is not a number.*judge .*--judge",
        ),
        (row(id=1, answer="1e999999999"), r"line 2: answer .* is not a number"),
        (row(id="0"), r"line 2: id '0' was already used in line 1"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, message):
    file = write(tmp_path / "q.jsonl", row(), line)
    with pytest.raises(TaskError, match=message):
        read_questions(file)


def test_missing_and_empty_files_are_named(tmp_path):
    with pytest.raises(TaskError, match=r"cannot read .*gone\.jsonl.*Give a JSONL file"):
        read_questions(tmp_path / "gone.jsonl")
    with pytest.raises(TaskError, match="cannot read"):
        read_questions(tmp_path)
    with pytest.raises(TaskError, match=r"empty\.jsonl holds no questions"):
        read_questions(write(tmp_path / "empty.jsonl", "", "  "))
    (tmp_path / "latin.jsonl").write_bytes(b"\xe9")
    with pytest.raises(TaskError, match="not UTF-8"):
        read_questions(tmp_path / "latin.jsonl")


def test_errors_are_user_errors():
    assert issubclass(TaskError, ValueError)
    assert issubclass(TaskError, LatentTTSError)
