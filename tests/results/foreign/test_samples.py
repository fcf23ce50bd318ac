"""Sample logs of lm-eval, whatever model and task, and sample files of every_eval_ever."""

import gzip
import json

import pytest
from click.testing import CliRunner

from latent_tts.harness.commands.pool import pool
from latent_tts.results import ResultsError, collect
from latent_tts.results.foreign import read_foreign

GSM8K = "She has 3 * 400 = <<3*400=1200>>1,200 eggs.\n#### 1,200"


def sample(doc_id, target, responses, **more):
    """One line as lm-eval 0.4.13 writes it for a task with repeats."""
    return {
        "doc_id": doc_id,
        "doc": {"question": f"Question {doc_id}?", "answer": target},
        "target": target,
        "arguments": {"gen_args_0": {"arg_0": "…", "arg_1": {"until": ["Q:"]}}},
        "resps": [responses],
        "filtered_resps": responses[:1],
        "filter": "strict-match",
        "metrics": ["exact_match"],
        "doc_hash": "0",
        "exact_match": 1.0,
    } | more


LINES = [
    sample(0, GSM8K, ["So 1200 eggs.\n#### 1,200", "It is 7.", "no idea"]),
    sample(1, "-5", ["\\boxed{-5}", "**-5**", "The answer is -5."], exact_match=0.0),
]


def write(folder, lines, name="samples_gsm8k_2030-01-02T03-04-05.678000.jsonl"):
    file = folder / name
    text = "".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines)
    file.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return file


@pytest.mark.parametrize("suffix", ["jsonl", "jsonl.gz"])
def test_every_repeat_is_a_candidate(tmp_path, suffix):
    other = sample(0, GSM8K, ["7"] * 3, filter="flexible-extract")
    file = write(tmp_path, [*LINES, other], f"samples_gsm8k_2030-01-02T03-04-05.{suffix}")
    arguments = ["import", str(file), "--output", str(tmp_path / "run"), "--task", "gsm8k"]
    done = CliRunner().invoke(pool, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "lm-eval's exact_match judges the first response otherwise on 1 of 2" in done.stderr
    (run,), problems = collect([tmp_path / "run"])
    assert problems == []
    assert run.metrics["pass@1"].value == pytest.approx((1 / 3 + 1) / 2)
    assert run.metrics["voting@3"].value == 1.0  # the earliest of two single votes is right
    assert run.metrics["unparsed"].value == pytest.approx(1 / 6)
    assert not {"thoughts", "truncated"} & set(run.metrics)


def test_answers_beyond_numbers(tmp_path):
    file = write(tmp_path, [sample(0, r"So $\boxed{\frac12}$.", [r"I say \boxed{0.5}", "x"])])
    with pytest.raises(ResultsError, match=r"target of question '0' is .*not a number.*--judge"):
        read_foreign(file)
    (line,) = read_foreign(file, judge="math").lines
    assert line.question.gold == r"\frac12"
    assert [one.answer for one in line.pool.candidates] == ["0.5", "x"]


def test_copies_that_pad_several_processes_do_not_count(tmp_path):
    lines = [LINES[0], sample(1, "-5", ["1", "2", "3", "-5", "-5"])]
    found = read_foreign(write(tmp_path, lines))
    assert [len(line.pool.candidates) for line in found.lines] == [3, 3]
    assert "1 of 2 questions have more responses than the 3 of the others" in found.notes[0]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (sample(3, "1", [["-1.5", True]]), r":3 cannot be read: Expected `str`, got `array`"),
        (sample(3, ["1", "2"], ["1"] * 3), r"target of question '3' is .*not a number"),
        (sample(3, "Paris", ["1"] * 3), "'Paris', which is not a number"),
        (sample(3, 2, ["1"] * 3) | {"resps": []}, "holds no pool of candidates"),
        (sample(0, "1", ["1"] * 3), "question '0' comes a second time, after line 1"),
        ('{"doc_id": 3, "target": "1", "resps": [["1"', "is not JSON"),
        ("[]", "cannot be read"),
    ],
)
def test_lines_that_cannot_be_used_are_named(tmp_path, line, message):
    with pytest.raises(ResultsError, match=message):
        read_foreign(write(tmp_path, [*LINES, line]))


def record(sample_id, text, answer, *, right=False, **more):
    """One line as every_eval_ever's schema has it."""
    stated = {"turn_idx": 0, "source": "output.raw", "extraction_method": "regex"}
    stated |= {"extracted_value": answer, "is_terminal": True}
    return {
        "schema_version": "0.3.0",
        "evaluation_id": "e",
        "model_id": "a/b",
        "evaluation_name": "gsm8k",
        "evaluation_result_id": "exact_match",
        "sample_id": sample_id,
        "interaction_type": "single_turn",
        "input": {"raw": "How many?", "reference": [GSM8K]},
        "output": {"raw": [text]},
        "answer_attribution": [] if answer is None else [stated],
        "evaluation": {"score": float(right), "is_correct": right},
    } | more


def test_records_of_others(tmp_path):
    lines = [
        record("a", "So 1200.", "So 1200.", right=True),  # a converter that extracts nothing
        record("a", "So 7.", "7", right=True),
        record("a", "…", None),
        record("a", "1200", "1200", evaluation_result_id="bleu"),
        record("b", "1200", "1,200", right=True),
    ]
    found = read_foreign(write(tmp_path, lines, "e_samples.jsonl"))
    answers = [[one.answer for one in line.pool.candidates] for line in found.lines]
    assert answers == [["1200", "7", None], ["1,200"]]
    assert [line.question.gold for line in found.lines] == ["1200", "1200"]
    assert found.notes == (
        "1 lines under other metrics than 'exact_match' are left out.",
        "The record judges 1 of 4 lines otherwise than this project does.",
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (record("b", "1", "1", output=None, messages=[]), ":2 has no output of a single turn"),
        (record("b", "1", "1", input={"raw": "?", "reference": []}), r"has the references \[\]"),
        (record("b", "1", "1", input={"raw": "?", "reference": ["1", "2"]}), "one gold answer"),
        (record("a", "1", "1", input={"raw": "?", "reference": ["3"]}), "one gold answer"),
        (record("b", "1", "1", input={"raw": "?", "reference": ["x"]}), "'x', which is not a num"),
        (record("b", "1", "1", evaluation={}), ":2 is no record of every_eval_ever: .*is_correct"),
        ("{", ":2 is no record"),
    ],
)
def test_records_that_cannot_be_used_are_named(tmp_path, line, message):
    lines = [record("a", "1200", "1200", right=True), line]
    with pytest.raises(ResultsError, match=message):
        read_foreign(write(tmp_path, lines, "e_samples.jsonl"))


def test_the_record_itself_names_its_samples(tmp_path):
    file = tmp_path / "e.json"
    file.write_text(json.dumps({"schema_version": "0.3.0", "evaluation_results": []}, indent=1))
    with pytest.raises(ResultsError, match=r"its candidates are in .* e_samples\.jsonl"):
        read_foreign(file)
