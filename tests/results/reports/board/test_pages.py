"""A run's page: what its data script holds is what the sample log holds."""

import gzip
import json
import re
from dataclasses import replace

import pytest

from latent_tts.results import ResultsError, collect, read_log
from latent_tts.results.reports.board.pages import PageJob, write_page
from latent_tts.tasks import Pool
from tests.results.made import add_metric, log_of
from tests.results.reports.board.random_runs import best_of_n, random_run, rewrite

HOSTILE = "</script><script>alert(1)</script> ' \" \\ \\n \u2028 <b>"


def read_script(path):
    """Return what a data script hands to the page, by function."""
    calls = {"pool": [], "questions": []}
    for line in path.read_text(encoding="utf-8").split("\n")[:-1]:
        function, text = re.fullmatch(r"runPage\.(\w+)\('(.*)'\);", line).groups()
        calls[function].append(json.loads(re.sub(r"\\(.)", r"\1", text)))
    (questions,) = calls["questions"]
    return questions["columns"], calls["pool"]


def write(folder, tmp_path, strategies):
    """Write the page of the only run under a folder; return its data, and the run."""
    (run,), problems = collect([folder])
    assert not problems
    job = PageJob(run=run, strategies=strategies, facts={}, rows=[], folder=tmp_path, slug="page")
    assert write_page(job).problem is None
    return *read_script(tmp_path / "page.js"), run


def column(values, index):
    return values[index] if isinstance(values, list) else values


def add_nearest(sample):
    """Give every thought of a sample two nearest tokens."""
    pool = json.loads(sample["resps"][0][0])
    for candidate in pool["candidates"]:
        candidate["nearest"] = [[HOSTILE, "b"]] * candidate["thoughts"]
    sample["resps"] = [[json.dumps(pool)]]


def test_every_candidate_is_on_the_page_as_it_was_logged(tmp_path):
    results = random_run(tmp_path / "run", rewards=True, steps=True, text=HOSTILE)
    rewrite(log_of(results), lambda index, sample: add_nearest(sample))
    add_metric(results, "best_of_n@8", best_of_n)
    strategies = {"voting": "voting@8", "best_of_n": "best_of_n@8"}
    questions, pools, _ = write(tmp_path / "run", tmp_path, strategies)
    samples = [json.loads(line) for line in log_of(results).read_text().splitlines()]
    assert questions["question"] == [sample["doc"]["question"] for sample in samples]
    assert questions["id"] == [sample["doc"]["id"] for sample in samples]
    assert questions["gold"] == [sample["target"] for sample in samples]
    assert questions["gold_key"] == questions["gold"]
    for name, metric in strategies.items():
        assert questions[name] == [sample[metric] for sample in samples]
    won = [outcome == "right" for outcome in questions["outcome"]]
    assert won == [sample["voting@8"] == 1 for sample in samples]
    for pool, sample in zip(pools, samples, strict=True):
        candidates = Pool.from_json(sample["resps"][0][0]).candidates
        for index, candidate in enumerate(candidates):
            text = pool["texts"][column(pool["text"], index)]
            assert text == [candidate.text, candidate.answer]
            assert column(pool["thoughts"], index) == candidate.thoughts
            assert column(pool["tokens"], index) == candidate.answer_tokens
            assert column(pool["truncated"], index) == candidate.truncated
            assert pool["reward"][index] == pytest.approx(candidate.reward, abs=1e-6)
            assert pool["steps"][index] == pytest.approx(candidate.step_rewards, abs=0.0051)
            assert pool["nearest"][index] == [[HOSTILE, "b"]] * candidate.thoughts
            vote = column(pool["vote"], index)
            assert (None if vote < 0 else pool["answers"][vote]) == candidate.answer
            assert bool(vote >= 0 and pool["right"][vote]) == (candidate.answer == sample["target"])


def test_a_run_without_rewards_has_no_column_for_them(tmp_path):
    random_run(tmp_path / "run")
    _, pools, _ = write(tmp_path / "run", tmp_path, {"voting": "voting@8"})
    assert not any({"reward", "steps", "beams"} & set(pool) for pool in pools)


def test_beams_missing_rewards_and_nan_metrics_are_shown(tmp_path):
    results = random_run(tmp_path / "run", questions=2, samples=2, rewards=True, steps=True)

    def change(index, sample):
        pool = json.loads(sample["resps"][0][0])
        answers = (sample["target"], "-1", None)
        pool["beams"] = [{**pool["candidates"][0], "reward": 0.5, "answer": a} for a in answers]
        pool["candidates"][1].update(reward=None, step_rewards=None)
        sample["resps"] = [[json.dumps(pool)]]
        sample["something_new"] = float("nan")

    rewrite(log_of(results), change)
    _, pools, _ = write(tmp_path / "run", tmp_path, {"voting": "voting@2"})
    for pool in pools:
        assert pool["reward"][1] is None
        assert pool["steps"][1] is None
        rewards, rights, steps = zip(*(beam[5:] for beam in pool["beams"]), strict=True)
        assert rewards == (0.5,) * 3
        assert rights == (True, False, None)
        assert steps[0] == pool["steps"][0]
        assert len(pool["weight"]) == len(pool["answers"])
        assert pool["chosen"]["best_of_n"][0] == 0
        assert pool["chosen"]["beam_search"][0] == 2


def test_repeats_are_joined_and_the_padding_of_processes_is_not(tmp_path):
    results = random_run(tmp_path / "run", questions=3, samples=4)

    def change(index, sample):
        (response,) = sample["resps"][0]
        sample["resps"] = [[response] * (2 if index == 2 else 1)]  # the last question, padded

    rewrite(log_of(results), change)
    questions, *_ = write(tmp_path / "run", tmp_path, {"voting": "voting@4"})
    assert questions["n"] == [4, 4, 4]


def test_a_packed_log_is_read(tmp_path):
    log = log_of(random_run(tmp_path / "run"))
    with gzip.open(f"{log}.gz", "wb") as packed:
        packed.write(log.read_bytes())
    log.unlink()
    questions, *_ = write(tmp_path / "run", tmp_path, {"voting": "voting@8"})
    assert len(questions["id"]) == 12


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda sample: sample.update(resps=[["{}"]]), ":5 holds no pool of candidates"),
        (lambda sample: sample.update(resps=[[]]), ":5 holds no pool of candidates"),
        (lambda sample: sample.pop("target"), ":5 cannot be read: .*`target`"),
    ],
)
def test_a_damaged_question_is_named_and_leaves_no_half_page(tmp_path, change, message):
    log = log_of(random_run(tmp_path / "run"))
    rewrite(log, lambda index, sample: change(sample) if index == 4 else None)
    (run,), _ = collect([tmp_path / "run"])
    with pytest.raises(ResultsError, match=re.escape(str(log)) + message):
        list(read_log(run, ["voting@8"]))
    job = PageJob(run=run, strategies={}, facts={}, rows=[], folder=tmp_path, slug="page")
    problem = write_page(job).problem
    assert re.search(message + ".*It has no page", problem.message, re.DOTALL)
    assert not problem.skipped
    assert not list(tmp_path.glob("page.*"))


def test_a_question_that_stands_there_twice_is_named(tmp_path):
    log = log_of(random_run(tmp_path / "run"))
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join([*lines[:4], lines[2], *lines[5:]]))
    (run,), _ = collect([tmp_path / "run"])
    with pytest.raises(ResultsError, match=r":5: question 'q2' comes a second time, after line 3"):
        list(read_log(run, ["voting@8"]))


@pytest.mark.parametrize(
    ("given", "change", "reason"),
    [
        ({"tolerance": "near"}, None, "tolerance is 'near'; it must be a number"),
        ({}, lambda doc: doc.update(question="\ud800"), "surrogates not allowed"),
        ({"samples": "8"}, None, "TypeError"),
    ],
)
def test_what_cannot_be_shown_is_a_problem_of_the_run(tmp_path, given, change, reason):
    log = log_of(random_run(tmp_path / "run", questions=2))
    rewrite(log, lambda index, sample: change(sample["doc"]) if change else None)
    (run,), _ = collect([tmp_path / "run"])
    if "samples" in given:
        given = {"config": replace(run.config, **given)}
    run = replace(run, **given)
    job = PageJob(run=run, strategies={}, facts={}, rows=[], folder=tmp_path, slug="page")
    problem = write_page(job).problem
    assert problem.path == log
    assert reason in problem.message
    assert not list(tmp_path.glob("page.*"))


def test_a_torn_packed_log_is_named(tmp_path):
    log = log_of(random_run(tmp_path / "run"))
    packed = log.with_name(f"{log.name}.gz")
    packed.write_bytes(gzip.compress(log.read_bytes())[:-40])
    (run,), _ = collect([tmp_path / "run"])
    with pytest.raises(ResultsError, match=r"is not JSON \(.*the file was cut off"):
        list(read_log(replace(run, samples=packed)))


def test_equal_golds_are_known_to_be_equal_however_they_are_written(tmp_path):
    results = random_run(tmp_path / "run")
    golds = ["5", "5.0", "1,005", "1005", "five"]
    rewrite(log_of(results), lambda i, s: s.update(target=golds[i % 5]))
    questions, _, _ = write(tmp_path / "run", tmp_path, {"voting": "voting@8"})
    assert questions["gold"][:5] == golds
    assert questions["gold_key"][:5] == ["5", "5", "1005", "1005", "five"]
