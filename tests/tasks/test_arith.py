"""The arithmetic problems keep every promise of `latent_tts.tasks.arith`."""

import importlib
import json
import os
import re
import subprocess
import sys
from collections import Counter
from fractions import Fraction
from itertools import islice
from pathlib import Path

import pytest

from latent_tts.tasks import TaskError
from latent_tts.tasks.arith import Problem, generate
from latent_tts.tasks.arith.patterns import OPERATIONS, PATTERNS
from latent_tts.tasks.arith.steps import EASY, HARD, TRAIN
from latent_tts.tasks.arith.structure import PLANS, STEPS
from latent_tts.tasks.arith.words import FOOD, GOODS, NAMES, PLACES

command = importlib.import_module("latent_tts.tasks.arith.__main__")
FOLDER = Path(command.__file__).parent
STEP = re.compile(r"<<(\d+)([-+*/])(\d+)=(\d+)>>")
COUNT = 400


def numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", text)]


def mask(text: str) -> str:
    return re.sub(r"\d+", "#", text)


def as_regex(pattern_text: str) -> str:
    """Turns a pattern into a regular expression that its sentences match in full."""
    parts = re.split(r"\{\w+\}", pattern_text[0].upper() + pattern_text[1:])
    return r"[\w ]+?".join(re.escape(part) for part in parts)


@pytest.fixture(scope="module")
def problems() -> dict[str, list[Problem]]:
    made = {
        split: list(generate(split=split, count=COUNT, seed=5))
        for split in ("train", "validation", "test")
    }
    made["hard"] = list(generate(split="test", count=COUNT, seed=5, hard=True))
    return made


def test_there_are_enough_patterns_and_words():
    assert len(PATTERNS) >= 100
    assert len({pattern.name for pattern in PATTERNS}) == len(PATTERNS)
    assert len({pattern.text for pattern in PATTERNS if pattern.kind == "add"}) >= 10
    assert {pattern.kind for pattern in PATTERNS} == set(OPERATIONS)
    assert len(set(NAMES)) == len(NAMES) >= 60
    assert len(set(FOOD + GOODS)) == len(FOOD + GOODS) >= 40
    assert len(set(PLACES)) == len(PLACES) >= 15
    text = " ".join([*(pattern.text for pattern in PATTERNS), *NAMES, *FOOD, *GOODS, *PLACES])
    assert len(set(re.findall("[a-z]+", text.lower()))) < 900


@pytest.mark.parametrize("kind", sorted(OPERATIONS))
def test_a_fifth_of_each_kind_is_held_back(kind):
    marks = [pattern.held_back for pattern in PATTERNS if pattern.kind == kind]
    assert len(marks) >= 5
    assert sum(marks) * 5 >= len(marks)
    assert sum(marks) * 2 < len(marks)


def test_held_back_patterns_use_words_of_trained_ones():
    def words(held_back: bool) -> set[str]:
        texts = (pattern.text for pattern in PATTERNS if pattern.held_back == held_back)
        return set(re.findall("[a-z]+", " ".join(texts).lower()))

    assert words(True) <= words(False)


def test_patterns_name_as_many_numbers_as_their_kind_needs():
    two = ("n*m", "n+m", "n-m", "+nm", "-nm")
    for pattern in PATTERNS:
        operation = OPERATIONS[pattern.kind]
        expected = ["n", "m"] if operation in two else ["n"]
        if operation in ("", "total"):
            expected = []
        if pattern.fixed:
            expected = []
        assert re.findall(r"\{([nm])\}", pattern.text) == expected, pattern
        assert pattern.fixed in (0, 2, 3, 4)
        assert pattern.text.endswith((".", "?"))
        assert "%" not in pattern.text


def test_held_back_patterns_never_occur_outside_test(problems):
    held_back = re.compile(
        "|".join(rf"\b{as_regex(pattern.text)}" for pattern in PATTERNS if pattern.held_back)
    )
    # The sentences of the trained patterns; each sentence of a problem must be one of them.
    trained = re.compile(
        "|".join(as_regex(pattern.text) for pattern in PATTERNS if not pattern.held_back)
    )
    for split in ("train", "validation"):
        for problem in problems[split]:
            assert not problem.held_back
            for sentence in re.split(r"(?<=[.?]) ", problem.question):
                assert trained.fullmatch(sentence), sentence
    marked = [problem for problem in problems["test"] if problem.held_back]
    assert 0.4 * COUNT < len(marked) < 0.6 * COUNT
    assert all(held_back.search(problem.question) for problem in marked)


@pytest.mark.parametrize(("group", "scale"), [("train", TRAIN), ("test", EASY), ("hard", HARD)])
def test_steps_are_exact_and_chained_and_use_every_number(problems, group, scale):
    for problem in problems[group]:
        results: list[Fraction] = []
        operands: Counter[int] = Counter()
        for index, step in enumerate(problem.steps):
            match = STEP.fullmatch(step)
            assert match, step
            left, right, result = (Fraction(match[i]) for i in (1, 3, 4))
            value = {"+": left + right, "-": left - right, "*": left * right}.get(match[2])
            value = left / right if value is None else value
            assert value == result
            assert value.denominator == 1
            assert 2 <= value <= scale.limit
            assert index == 0 or results[-1] in (left, right) or match[2] == "*"
            results.append(value)
            operands.update([int(left), int(right)])
        assert 2 <= len(problem.steps) <= 4
        assert problem.answer == str(results[-1])
        # Every result but the last is used later on.
        for index, value in enumerate(results[:-1]):
            later = " ".join(problem.steps[index + 1 :])
            assert str(value) in re.findall(r"\d+", later)
        said = Counter(numbers(problem.question))
        assert all(number >= 2 for number in said)
        assert not said - operands
        # What is not said is an earlier result or stands in words: doubles, one third, a quarter.
        assert set(operands) <= set(said) | {int(value) for value in results} | {2, 3, 4}


def test_half_the_problems_take_two_steps_and_a_fifth_four(problems):
    counts = Counter(len(problem.steps) for problem in problems["train"])
    shares = {steps: count / COUNT for steps, count in counts.items()}
    assert shares == pytest.approx({2: 0.5, 3: 0.3, 4: 0.2}, abs=0.05)


def test_questions_are_short_plain_sentences(problems):
    lengths = [len(problem.question.split()) for problem in problems["train"]]
    assert min(lengths) >= 25
    assert max(lengths) <= 70
    assert 33 < sum(lengths) / COUNT < 42
    for problem in problems["test"] + problems["train"]:
        assert not set("{}%#") & set(problem.question)
        sentences = re.split(r"(?<=[.?]) ", problem.question)
        assert all(re.match(r"[A-Z0-9]", sentence) for sentence in sentences)
        assert problem.question.isascii()


@pytest.mark.slow
def test_questions_are_unique_and_splits_are_disjoint(problems):
    masked = {split: {mask(problem.question) for problem in problems[split]} for split in problems}
    assert all(len(texts) == COUNT for texts in masked.values())
    assert masked["test"] == masked["hard"]
    other_seed = {mask(p.question) for p in generate(split="train", count=20000, seed=6)}
    assert not (masked["train"] | other_seed) & (masked["validation"] | masked["test"])
    assert not masked["validation"] & masked["test"]


def test_hard_problems_mirror_easy_ones(problems):
    for easy, hard in zip(problems["test"], problems["hard"], strict=True):
        assert mask(easy.question) == mask(hard.question)
        assert [re.sub(r"\d+", "#", step) for step in easy.steps] == [
            re.sub(r"\d+", "#", step) for step in hard.steps
        ]
        assert easy.held_back == hard.held_back
        assert hard.id == easy.id.replace("arith-", "arith-hard-")
    medians = [
        sorted(int(problem.answer) for problem in problems[group])[COUNT // 2]
        for group in ("test", "hard")
    ]
    assert medians[1] >= 3 * medians[0]


def test_ids_count_up_and_shorter_calls_are_prefixes(problems):
    assert [problem.id for problem in problems["test"][:2]] == ["arith-test-0", "arith-test-1"]
    assert list(generate(split="test", count=10, seed=5)) == problems["test"][:10]
    assert list(generate(split="test", count=10, seed=6)) != problems["test"][:10]
    assert len({problem.id for problem in problems["test"]}) == COUNT


@pytest.mark.slow
def test_two_processes_agree(problems):
    code = (
        "from latent_tts.tasks.arith import generate\n"
        "for p in generate(split='train', count=200, seed=5): print(p)"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "123"}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [str(problem) for problem in problems["train"][:200]]


def test_all_sequences_of_kinds_have_names_and_numbers_of_steps():
    for steps, themes in zip(STEPS, PLANS, strict=True):
        for kinds in {kinds for plans in themes for kinds in plans}:
            operations = [OPERATIONS[kind] for kind in kinds]
            single = [operation for operation in operations if operation not in ("", "=")]
            double = [operation for operation in operations if operation in ("+nm", "-nm")]
            assert len(single) + len(double) == steps
            assert kinds[-1].startswith("question")


def test_the_iterator_is_lazy():
    first = list(islice(generate(split="train", count=10**9, seed=0), 3))
    assert [problem.id for problem in first] == ["arith-train-0", "arith-train-1", "arith-train-2"]


def test_an_unknown_split_is_refused():
    message = r"split='dev' is unknown; allowed: train, validation, test; pass one of these"
    with pytest.raises(TaskError, match=message):
        generate(split="dev", count=1, seed=0)  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [0, -3])
def test_a_count_below_one_is_refused(count):
    with pytest.raises(TaskError, match=rf"count={count} is too small; allowed: 1 or more"):
        generate(split="train", count=count, seed=0)


def test_the_shipped_files_are_what_the_command_writes(tmp_path, capsys):
    command.main(["--out", str(tmp_path / "new")])
    printed = capsys.readouterr().out.split()
    assert [Path(path).name for path in printed] == list(command.FILES)
    for name in command.FILES:
        shipped = (FOLDER / name).read_bytes()
        assert (tmp_path / "new" / name).read_bytes() == shipped
        rows = [json.loads(line) for line in shipped.decode("utf-8").splitlines()]
        assert len(rows) == 500
        assert all(list(row) == ["id", "question", "answer", "steps", "held_back"] for row in rows)
