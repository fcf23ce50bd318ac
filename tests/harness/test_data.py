"""`latent-tts data` writes training text and names test questions."""

import json
from importlib import resources
from pathlib import Path

import pytest
from click.testing import CliRunner

from latent_tts.errors import LatentTTSError
from latent_tts.harness.commands.data import data
from latent_tts.tasks import read_questions

TEST = read_questions(str(resources.files("latent_tts.tasks.arith") / "arith_test.jsonl"))[0]


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    file = tmp_path / "rows.jsonl"
    made = [
        {
            "question": f"Kim has {n} kites {'new ' * n}and 58 bows. How many?",
            "answer": str(n + 58),
        }
        for n in range(2, 40)
    ]
    made.append({"question": TEST.text, "answer": TEST.gold})
    file.write_text("".join(json.dumps(row) + "\n" for row in made))
    return file


def run(*arguments: object) -> str:
    done = CliRunner().invoke(data, [str(one) for one in arguments])
    if isinstance(done.exception, LatentTTSError):
        raise done.exception
    assert done.exit_code in (0, 1), done.output
    return f"{done.exit_code}\n{done.output}"


def read(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_preparing(rows: Path, tmp_path: Path) -> None:
    output, apart = tmp_path / "new" / "mix.jsonl", tmp_path / "valid.jsonl"
    arguments = [f"{rows}@30", "arith:40@20", "--output", output, "--validation", apart]
    text = run("prepare", *arguments, "--validation-count", 8, "--variants", 1, "--most-steps", 3)
    made = read(output)
    assert {"question", "steps", "answer"} == set(made[0])
    assert len(read(apart)) == 8
    assert "arith:40: " in text
    assert f"{output}: {len(made)} questions" in text
    first = output.read_bytes()
    run("prepare", *arguments, "--validation-count", 8, "--variants", 1, "--most-steps", 3)
    assert output.read_bytes() == first


def test_test_questions_are_dropped_and_named(rows: Path, tmp_path: Path) -> None:
    output = tmp_path / "mix.jsonl"
    text = run("prepare", rows, "--output", output)
    assert f"dropped from {rows}: 1 (test question: arith_test)\n    {TEST.text}" in text
    assert TEST.text not in output.read_text()
    assert run("check", output) == "0\n0 test questions\n"
    text = run("check", rows)
    assert text.startswith(f"1\n{rows}, question 39: arith_test: {TEST.text}")


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("{rows}@many", "after @ stands how many"),
        ("{rows}@0", "after @ stands how many"),
        ("arith:lots", "as arith:3000"),
        ("nowhere.jsonl", "cannot read nowhere.jsonl"),
    ],
)
def test_sources_that_are_none(source: str, says: str, rows: Path, tmp_path: Path) -> None:
    output = tmp_path / "mix.jsonl"
    with pytest.raises(LatentTTSError, match=says):
        run("prepare", source.format(rows=rows), "--output", output)
    assert not output.exists()


def test_nothing_left(rows: Path, tmp_path: Path) -> None:
    output = tmp_path / "mix.jsonl"
    with pytest.raises(LatentTTSError, match="Nothing is left"):
        run("prepare", rows, "--longest", 1, "--output", output)
    assert not output.exists()


def test_an_output_that_cannot_be_written(rows: Path, tmp_path: Path) -> None:
    with pytest.raises(LatentTTSError, match="cannot be written: Not a directory"):
        run("prepare", rows, "--output", rows / "below")
    assert not [*tmp_path.glob(".*.new")]


def test_two_outputs_in_one_place_or_nowhere_lose_nothing(rows: Path, tmp_path: Path) -> None:
    output = tmp_path / "mix.jsonl"
    output.write_text("kept")
    with pytest.raises(LatentTTSError, match="Give each a file of its own"):
        run("prepare", rows, "--output", output, "--validation", tmp_path / "." / "mix.jsonl")
    for options in (["--variants", -1], ["--validation-count", -2], ["--validation", tmp_path]):
        done = CliRunner().invoke(
            data, [str(one) for one in ("prepare", rows, "--output", output, *options)]
        )
        assert done.exit_code == 2, options
    assert output.read_text() == "kept"


def test_a_folder_with_an_at_sign(rows: Path, tmp_path: Path) -> None:
    folder = tmp_path / "me@host"
    folder.mkdir()
    file = rows.rename(folder / "rows.jsonl")
    assert "rows.jsonl: " in run("prepare", file, "--output", tmp_path / "mix.jsonl")
    text = run("prepare", f"{file}@3", "--output", tmp_path / "mix.jsonl")
    assert f"{tmp_path / 'mix.jsonl'}: 3 questions" in text
