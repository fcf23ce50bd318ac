"""Candidates of other programs: the format, and runs that all commands read."""

import io
import json
import math
import statistics
import subprocess
import sys

import pandas as pd
import pytest
from click.testing import CliRunner

from latent_tts.harness.commands.compare import compare
from latent_tts.harness.commands.curve import curve
from latent_tts.harness.commands.pool import pool
from latent_tts.results import ResultsError, collect, read_log
from latent_tts.results.foreign.pools import read_pools
from latent_tts.tasks import Candidate
from tests.results.made import make_pool, pools_of, write_run

LINES = [
    {
        "id": "a",
        "question": "What is 2 + 3?",
        "gold": "5",
        "candidates": [
            {"answer": "5", "text": "five: 5", "reward": 0.5, "thoughts": 2, "answer_tokens": 4},
            {"answer": None, "thoughts": 3, "answer_tokens": 0},
        ],
    },
    {
        "id": 7,
        "gold": 12.50,
        "candidates": [
            {"answer": 12.5, "thoughts": 1, "answer_tokens": 2, "truncated": True},
            {"answer": "1,250", "thoughts": 1, "answer_tokens": 2, "more": []},
        ],
        "more": {},
    },
]


def write_pools(folder, lines):
    file = folder / "pools.jsonl"
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return file


def import_pools(file, output, *options):
    arguments = ["import", str(file), "--output", str(output), *options]
    done = CliRunner().invoke(pool, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done


def test_lines_are_read(tmp_path):
    first, second = read_pools(write_pools(tmp_path, LINES))
    assert (first.question.id, first.question.text, first.question.gold) == (
        "a",
        "What is 2 + 3?",
        "5",
    )
    assert (second.question.id, second.question.text, second.question.gold) == ("7", "", "12.5")
    assert first.pool.candidates == (
        Candidate(
            text="five: 5", answer="5", thoughts=2, answer_tokens=4, truncated=False, reward=0.5
        ),
        Candidate(text="", answer=None, thoughts=3, answer_tokens=0, truncated=False),
    )
    assert [candidate.answer for candidate in second.pool.candidates] == ["12.5", "1,250"]
    assert second.pool.candidates[0].text == "12.5"
    assert first.counted == {"thoughts", "answer_tokens"}


def test_numbers_stay_as_they_are_written(tmp_path):
    file = tmp_path / "pools.jsonl"
    number = "0.1000000000000000055511151231257827"
    file.write_text(f'{{"id": 1, "gold": {number}, "candidates": [{{"answer": {number}}}]}}\n')
    (line,) = read_pools(file)
    assert line.question.gold == line.pool.candidates[0].answer == number


@pytest.mark.parametrize(
    ("reward", "expected"),
    [("NaN", math.nan), ("-Infinity", math.nan), ("1e999", math.nan), ("null", math.nan), ("2", 2)],
)
def test_a_reward_that_is_no_number_is_nan_as_in_logs(tmp_path, reward, expected):
    file = tmp_path / "pools.jsonl"
    line = '{"id": 1, "gold": 1, "candidates": [{"answer": 1, "reward": %s, "step_rewards": [%s]}]}'
    file.write_text(line % (reward, reward))
    (candidate,) = read_pools(file)[0].pool.candidates
    assert candidate.reward == pytest.approx(expected, nan_ok=True)
    assert candidate.step_rewards == pytest.approx((expected,), nan_ok=True)


def with_rewards(line, *rewards):
    return {**line, "candidates": [{"answer": "5", "reward": reward} for reward in rewards]}


def test_rewards_that_are_no_numbers_count_as_unscored(tmp_path):
    lines = [with_rewards(LINES[0], None, 0.5), with_rewards(LINES[1], None, None)]
    done = import_pools(write_pools(tmp_path, lines), tmp_path / "run")
    assert done.stderr == ""
    (run,), _ = collect([tmp_path / "run"])
    assert run.metrics["unscored"].value == 0.75
    # Of the first, the one that is scored is right; where none is there is nothing to choose by.
    assert run.metrics["best_of_n@2"].value == 0.5


def test_why_best_of_n_is_left_out_is_told(tmp_path):
    file = write_pools(tmp_path, LINES)
    done = import_pools(file, tmp_path / "run")
    message = f"note: best_of_n left out: {file}:2 has no rewards, like 1 of 2 lines."
    assert done.stderr.startswith(message)
    (run,), _ = collect([tmp_path / "run"])
    assert "best_of_n@2" not in run.metrics


def test_another_tolerance_is_another_run(tmp_path):
    for tolerance in ("0", "1"):
        options = ("--name", f"within-{tolerance}", "--tolerance", tolerance)
        import_pools(write_pools(tmp_path, LINES), tmp_path / "run", *options)
    runs, problems = collect([tmp_path / "run"])
    assert ({run.tolerance for run in runs}, problems) == ({"0", "1"}, [])


@pytest.mark.parametrize("name", ["..", ".", "../.."])
def test_a_name_does_not_lead_out_of_the_folder(tmp_path, name):
    import_pools(write_pools(tmp_path, LINES), tmp_path / "out" / "run", "--name", name)
    (results,) = tmp_path.rglob("results_*")
    assert results.parent.parent == tmp_path / "out" / "run"


def test_an_output_that_cannot_be_written_is_named(tmp_path):
    file = write_pools(tmp_path, LINES)
    below = str(file / "below")
    with pytest.raises(ResultsError, match=r"--output .*below cannot be written: Not a directory"):
        import_pools(file, below)
    done = CliRunner().invoke(pool, ["import", str(file), "--output", str(file)])
    assert done.exit_code == 2
    assert "is a file" in done.output


def test_a_task_too_long_for_a_file_name_is_named(tmp_path):
    message = r"cannot be written \(File name too long\)"
    with pytest.raises(ResultsError, match=message):
        import_pools(write_pools(tmp_path, LINES), tmp_path / "run", "--task", "a" * 300)


def test_an_import_is_a_run_with_metrics_over_questions(tmp_path):
    file = write_pools(tmp_path, LINES)
    done = import_pools(file, tmp_path / "run", "--task", "sums", "--name", "other", "--seed", "4")
    (run,), problems = collect([tmp_path / "run"])
    assert problems == []
    assert done.stdout.strip() == str(run.results)
    assert (run.name, run.task, run.task_version, run.questions) == ("run", "sums", None, 2)
    config = run.config
    assert (config.checkpoint, config.samples, config.seed) == ("other", 2, 4)
    assert (config.sampler, config.strength, config.backbone) == ("unknown", None, None)
    assert run.metrics["pass@1"] == (0.5, 0.0)  # one of two each
    assert run.metrics["pass@2"] == (1.0, 0.0)
    thoughts = [2.5, 1]
    assert run.mean("thoughts") == statistics.fmean(thoughts)
    stderr = statistics.stdev(thoughts) / 2**0.5
    assert run.metrics["thoughts"].stderr == pytest.approx(stderr)
    assert "truncated" not in run.metrics  # not all candidates say
    assert run.higher_is_better["pass@1"]
    assert not run.higher_is_better["unparsed"]
    assert [line.pool for line in read_pools(file)] == pools_of(run)
    assert [line.question for line in read_pools(file)] == [one.question for one in read_log(run)]


def test_an_import_of_a_run_is_that_run(tmp_path):
    """The round trip: a run's pools, written in the format, give the run's numbers."""
    pools = [
        make_pool("1", "2", "1", rewards=[0.1, 0.2, None]),
        make_pool("3", None, "2", rewards=[-1.0, 0.5, 3.0]),
    ]
    golds = ["1", "2"]
    write_run(tmp_path / "real", list(zip(golds, pools, strict=True)), ids=["a", "b"])
    (real,), _ = collect([tmp_path / "real"])
    lines = [
        {
            "id": logged.question.id,
            "question": logged.question.text,
            "gold": logged.question.gold,
            **json.loads(logged.pool().to_json()),
        }
        for logged in read_log(real)
    ]
    file = write_pools(tmp_path, lines)
    import_pools(file, tmp_path / "again", "--task", "latent_tts_arith")
    (again,), _ = collect([tmp_path / "again"])
    assert again.metrics == {
        name: pytest.approx(estimate, nan_ok=True) for name, estimate in real.metrics.items()
    }
    arguments = [str(tmp_path / "real"), str(tmp_path / "again"), "--json", str(tmp_path / "c")]
    assert CliRunner().invoke(compare, arguments, catch_exceptions=False).exit_code == 0
    (found,) = json.loads((tmp_path / "c").read_text())
    assert found["left_out"] == {}
    assert all(row["paired"]["difference"] == 0 for row in found["metrics"])


@pytest.mark.slow
def test_an_import_has_a_curve(tmp_path):
    import_pools(write_pools(tmp_path, LINES), tmp_path / "run", "--task", "sums")
    arguments = [str(tmp_path / "run"), "--task", "sums", "--output", str(tmp_path / "c.png")]
    done = CliRunner().invoke(curve, arguments, catch_exceptions=False)
    table = pd.read_csv(io.StringIO(done.stdout), sep=r"\s+")
    assert table["coverage"].tolist() == [0.5, 1.0]


def test_pools_of_several_sizes_have_the_metrics_of_the_smallest(tmp_path):
    lines = [LINES[0], {**LINES[1], "candidates": LINES[1]["candidates"] * 2}]
    import_pools(write_pools(tmp_path, lines), tmp_path / "run")
    (run,), _ = collect([tmp_path / "run"])
    assert {"pass@1", "pass@2"} <= set(run.metrics)
    assert not {"pass@4", "coverage@4", "coverage@2"} & set(run.metrics)


def test_ks_and_tolerance_are_taken(tmp_path):
    lines = [{**LINES[0], "candidates": [{"answer": "5.2"}] + [{"answer": "9"}] * 3}]
    options = ("--k", "3", "--tolerance", "0.2")
    import_pools(write_pools(tmp_path, lines), tmp_path / "run", *options)
    (run,), _ = collect([tmp_path / "run"])
    assert run.tolerance == "0.2"
    assert run.metrics["pass@3"].value == 0.75
    assert "pass@2" not in run.metrics


@pytest.mark.parametrize("k", ["3", "0"])
def test_a_k_beyond_a_pool_is_named(tmp_path, k):
    file = write_pools(tmp_path, LINES)
    message = rf"k = {k} cannot be used: {file}:1 has 2 candidates, and 1 <= k <= 2 must hold"
    with pytest.raises(ResultsError, match=message):
        import_pools(file, tmp_path / "run", "--k", k)
    assert not (tmp_path / "run").exists()


def test_a_task_that_is_no_file_name_is_refused(tmp_path):
    with pytest.raises(ResultsError, match="--task 'a/b' becomes part of a file's name"):
        import_pools(write_pools(tmp_path, LINES), tmp_path / "run", "--task", "a/b")


def changed(**fields):
    return {**LINES[0], **fields}


def with_candidate(**fields):
    return changed(candidates=[{"answer": "5"}, {"answer": "5", **fields}])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ([], ":2: Expected `object`, got `array`. Expected"),
        ({"id": "b", "candidates": []}, ":2: .*missing required field `gold`|.*length >= 1"),
        (changed(id=" "), ":2: `id` must be a text or number with something in it"),
        (changed(id=None), ":2: `id` must be a text"),
        (changed(gold="five"), ":2: `gold` is 'five', but must be a number, such as 5"),
        (changed(gold=math.nan), ":2: `gold` is None, but must be a number"),
        (changed(question=[]), r":2: Expected `str`, got `array` - at `\$.question`"),
        (changed(candidates=[]), r":2: Expected `array` of length >= 1 - at `\$.candidates`"),
        (changed(candidates={}), r":2: Expected `array`, got `object` - at `\$.candidates`"),
        (changed(candidates=[5]), r":2: Expected `object`, got `int` - at `\$.candidates\[0\]`"),
        (changed(candidates=[{}]), r":2: .*required field `answer` - at `\$.candidates\[0\]`"),
        (with_candidate(answer=True), r":2: Expected a text or a number - at `\$.candidates\[1\]"),
        (changed(id="\ud83d"), ":2 holds half of a character, which cannot be stored"),
        (changed(question="a\ud83d"), ":2 holds half of a character"),
        (with_candidate(answer="\ud83d"), ":2 holds half of a character"),
        (with_candidate(text="\ude00 5"), ":2 holds half of a character"),
        (with_candidate(text=5), r":2: Expected `str`, got `int` - at `\$.candidates\[1\].text`"),
        (with_candidate(reward="good"), r"Expected a number or null as reward - at `\$.candidates"),
        (with_candidate(reward="0.5"), r"number or null as reward - at `\$.candidates\[1\]`"),
        (with_candidate(step_rewards=1), r"Expected `array . null`, got `int` - at `\$.*step_rew"),
        (with_candidate(step_rewards=["a"]), r"number or null as reward - at `\$.candidates\[1\]`"),
        (with_candidate(thoughts=-1), r"Expected `int` >= 0 - at `\$.candidates\[1\].thoughts`"),
        (with_candidate(thoughts=1.5), r"Expected `int`, got `float` - at `\$.*\[1\].thoughts`"),
        (with_candidate(answer_tokens="2"), r"Expected `int`, got `str` - at `\$.*answer_tokens`"),
        (
            with_candidate(truncated=1),
            r"Expected `bool`, got `int` - at `\$.candidates.*truncated`",
        ),
        (changed(), ":2: 'id' 'a' stands already at .*:1. Give every question one of its own"),
    ],
)
def test_a_wrong_line_is_named_with_file_line_and_field(tmp_path, line, message):
    file = write_pools(tmp_path, [LINES[0], line])
    with pytest.raises(ResultsError, match=f"^{file}{message}" if message[0] == ":" else message):
        read_pools(file)


def test_a_line_that_was_cut_off_is_named(tmp_path):
    file = write_pools(tmp_path, LINES)
    file.write_text(file.read_text()[:-30])
    with pytest.raises(ResultsError, match=rf"^{file}:2 is not JSON .*; was it cut off\?"):
        read_pools(file)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"\n \n", "holds no pools. Expected a line a question"), (b"\xff\xfe", "is not UTF-8 text")],
)
def test_a_file_without_pools_is_refused(tmp_path, content, message):
    file = tmp_path / "pools.jsonl"
    file.write_bytes(content)
    with pytest.raises(ResultsError, match=message):
        read_pools(file)


@pytest.mark.slow
def test_the_command_prints_an_error_without_traceback(tmp_path):
    file = write_pools(tmp_path, [changed(gold="five")])
    arguments = ["pool", "import", str(file), "--output", str(tmp_path / "run")]
    done = subprocess.run(
        [sys.executable, "-m", "latent_tts.harness.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {file}:1: `gold` is")
    assert "Traceback" not in done.stderr
