"""Random runs and options of commands: refused in words, or with the numbers of a recount.

Forty examples of each run everywhere; 2,000 others are drawn by
`pytest --hypothesis-profile nightly tests/harness/test_hostile_runs.py` (`tox -e nightly`).
"""

import itertools
import json
import shutil
from decimal import Decimal
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from latent_tts.errors import LatentTTSError
from latent_tts.harness.commands.adaptive import adaptive
from latent_tts.harness.commands.check import check
from latent_tts.harness.commands.compare import compare
from latent_tts.harness.commands.export import export
from latent_tts.harness.commands.judge import judge as judge_command
from latent_tts.harness.commands.output import Output
from latent_tts.results import collect, read_log
from latent_tts.results.runs import judge
from tests.harness.test_hostile import within
from tests.hostile import ODD, spoiled_file
from tests.results.made import log_of, make_pool, write_run
from tests.results.reports.board.random_runs import random_run

ANSWERS = st.sampled_from([None, "1", "1.0", "2", "3", "10"])
ROWS = st.integers(1, 5).flatmap(
    lambda count: st.lists(
        st.tuples(
            st.sampled_from(["1", "2", "10"]), st.lists(ANSWERS, min_size=count, max_size=count)
        ),
        min_size=1,
        max_size=4,
    )
)
TOLERANCES = st.sampled_from(["0", "0.5", "1"])


def recount(gold, answers, name, tolerance):
    """A metric by its definition, over all subsets in the pool's order; None where it is other."""
    values = [None if one is None else Decimal(one) for one in answers]
    family, _, size = name.partition("@")

    def right(value):
        return value is not None and abs(value - Decimal(gold)) <= Decimal(tolerance)

    def vote(subset):
        given = [one for one in subset if one is not None]
        return bool(given) and right(max(dict.fromkeys(given), key=given.count))

    judges = {"pass": lambda own: any(map(right, own)), "voting": vote}
    judges["coverage"] = judges["pass"]
    if family not in judges:
        return values.count(None) / len(values) if name == "unparsed" else None
    found = [judges[family](own) for own in itertools.combinations(values, int(size))]
    return sum(found) / len(found)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("recounted")


@given(runs=st.lists(ROWS, min_size=1, max_size=3), tolerance=TOLERANCES)
def test_the_numbers_of_a_folder_of_runs_are_those_of_a_recount(folder, runs, tolerance):
    root = folder / "runs"
    for number, rows in enumerate(runs):
        pools = [(gold, make_pool(*answers)) for gold, answers in rows]
        write_run(root / f"{number}", pools, metadata={"tolerance": tolerance}, settings={
            "seed": number, "latent_do_sample": True})  # fmt: skip
    try:
        with within(60):
            found, problems = collect([root])
            assert len(found) == len(runs)
            assert not [problem for problem in problems if problem.lost]
            for run in found:
                rows, table = runs[run.config.seed], judge(run, ks=[1]).metrics
                for name in run.metrics:
                    wanted = [recount(*row, name, tolerance) for row in rows]
                    if wanted[0] is None:
                        continue
                    assert table[name].tolist() == pytest.approx(wanted)
                    assert run.metrics[name].value == pytest.approx(sum(wanted) / len(wanted))
    finally:
        shutil.rmtree(root)


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A run of which the log is to be spoiled."""
    root = tmp_path_factory.mktemp("spoiled")
    log = log_of(random_run(root, questions=3, samples=2, rewards=True))
    return root, log, log.read_text().splitlines()


@given(data=st.data())
def test_of_a_spoiled_log_only_what_stands_there_is_read(sound, data):
    root, log, lines = sound
    log.write_bytes(data.draw(spoiled_file(lines)))
    with within(60):
        runs, _ = collect([root])
        for run in runs:
            try:
                read = [(one.question.gold, one.pool()) for one in read_log(run)]
            except LatentTTSError:
                continue
            rows = [json.loads(line) for line in log.read_bytes().splitlines()]
            assert [gold for gold, _ in read] == [str(row["target"]) for row in rows]
            for (_, pool), row in zip(read, rows, strict=True):
                there = json.loads(row["resps"][0][0])["candidates"]
                assert [one.answer for one in pool.candidates] == [one["answer"] for one in there]
                assert [one.reward for one in pool.candidates] == pytest.approx(
                    [one.get("reward") for one in there], nan_ok=True
                )


COMMANDS = {
    judge_command: ("judge", ["RUN", "--output", "OUT"]),
    adaptive: ("adaptive", ["RUN"]),
    compare: ("compare", ["RUN"]),
    check: ("check", ["RUN", "--baseline", "RUN"]),
    export: ("export", ["RUN", "--to", "scorio", "--output", "OUT"]),
}
OPTIONS = [
    (command, option)
    for command in COMMANDS
    for option in command.params
    if isinstance(option, click.Option) and not isinstance(option.type, Output | click.Path)
]
WORDS = st.sampled_from(ODD).map(str) | st.integers().map(str) | st.floats().map(str)
WORDS |= st.sampled_from(["voting@1", "pass@2", "esc:window=1", "bayes", "cges", "0.95", "2"])
WORDS |= st.text(max_size=20)


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("asked")
    random_run(root / "run", questions=3, samples=4, rewards=True)
    return root


@pytest.mark.filterwarnings("ignore")
@given(
    asked=st.sampled_from(OPTIONS).flatmap(
        lambda own: st.tuples(
            st.just(own[0]),
            st.lists(
                st.tuples(st.sampled_from([one for of, one in OPTIONS if of is own[0]]), WORDS),
                min_size=1,
                max_size=2,
            ),
        )
    )
)
def test_options_of_any_values(run_folder, asked):
    command, given_ = asked
    out = run_folder / "out"
    places = {"RUN": str(run_folder / "run"), "OUT": str(out)}
    words = [places.get(word, word) for word in COMMANDS[command][1]]
    for option, value in given_:
        words += [option.opts[0]] if option.is_flag else [f"{option.opts[0]}={value}"]
    try:
        with within(60):
            done = CliRunner().invoke(command, words)
        error = done.exception
        assert error is None or isinstance(error, LatentTTSError | SystemExit), (words, error)
        if error is not None:
            assert len(str(error)) > 10 or done.output, words
    finally:
        if out.is_dir():
            shutil.rmtree(out)
        else:
            Path(out).unlink(missing_ok=True)
