"""What is exported and imported again is the same run; other programs read what is exported."""

import json
import re

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from huggingface_hub import parse_eval_result_entries
from scorio import aggregate
from scorio import eval as scorio

from latent_tts.harness.commands.export import export
from latent_tts.harness.commands.pool import pool as pool_command
from latent_tts.results import ResultsError, collect, read_log
from tests.results.made import make_pool, write_run

GOLDS = ["7", "-2.5", "1000"]
POOLS = [
    make_pool("7", "7.0", "8", None, "8", "8"),
    make_pool("-2.5", None, "3", "3", "-2.50", "9"),
    make_pool(None, None, "1,000", "999", "1", "1"),
]
REWARDS = [[0.5, -1.0, None, 2.0, 0.1, 0.3]] * 3
SCORED = [
    make_pool(*(one.answer for one in pool.candidates), rewards=rewards)
    for pool, rewards in zip(POOLS, REWARDS, strict=True)
]
HOSTILE = [
    "</script><script>alert(1)</script>",
    '"; DROP TABLE runs; --\n{"sample_id": "x"}\r\n',
    "- yaml: [&a *a]\t!!python/object:os.system\x00\u2028\u202e",
]
FORMS = ["npz", "npy", "every_eval_ever"]
RECORD = ["--model", "me/mine", "--organization", "Me", "--relation", "first_party"]


def command(call, *arguments):
    done = CliRunner().invoke(call, [str(one) for one in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done


def export_run(run, form, folder, *options):
    """Export a run folder, and return the file from which it is imported."""
    if form == "every_eval_ever":
        command(export, run, "--to", form, "--output", folder, *RECORD, *options)
        (file,) = folder.rglob("*_samples.jsonl")
        return file
    file = folder / f"array.{form}"
    command(export, run, "--to", "scorio", "--output", file, *options)
    return file


def import_file(file, folder, *options):
    done = command(pool_command, "import", file, "--output", folder, *options)
    (run,), problems = collect([folder])
    assert problems == []
    return run, done


def found(run):
    """Ids, questions, golds and answers of a run."""
    return [
        (one.question, [each.answer for each in one.pool().candidates]) for one in read_log(run)
    ]


def assert_same(back, run, *, left_out=()):
    wanted = {name: one for name, one in run.metrics.items() if name not in left_out}
    assert back.metrics == {
        name: pytest.approx(estimate, nan_ok=True) for name, estimate in wanted.items()
    }
    assert (back.judge, back.tolerance, back.config.seed) == (run.judge, run.tolerance, 1)


def arrays_of(file):
    with np.load(file, allow_pickle=False) as arrays:
        return dict(arrays)


COUNTS = ("thoughts", "answer_tokens", "truncated")
REWARDED = tuple(f"{name}@{k}" for name in ("best_of_n", "weighted_voting") for k in (1, 2, 4, 6))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("pools", [POOLS, SCORED], ids=["plain", "scored"])
def test_numbers(tmp_path, form, pools):
    rows = list(zip(GOLDS, pools, strict=True))
    write_run(tmp_path / "run", rows, metadata={"tolerance": "0.5"})
    (run,), _ = collect([tmp_path / "run"])
    file = export_run(tmp_path / "run", form, tmp_path / "out")
    back, done = import_file(file, tmp_path / "back")
    left_out = () if form == "every_eval_ever" else COUNTS
    if form == "npy":  # outcomes alone, and answers beside
        left_out = (*left_out, *REWARDED, "unscored")
    assert_same(back, run, left_out=left_out)
    assert found(back) == found(run)
    assert "judges" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("judge", ["text", "math"])
def test_hostile_texts_stay_texts(tmp_path, form, judge):
    golds = HOSTILE if judge == "text" else [r"\frac{1}{2}", "x + 1", "(3, 4)"]
    others = ["0.5", "1 + x", "(3,4)"] if judge == "math" else [text.upper() for text in HOSTILE]
    pools = [
        make_pool(gold, other, None, *HOSTILE).judged_by(judge)
        for gold, other in zip(golds, others, strict=True)
    ]
    rows = list(zip(golds, pools, strict=True))
    write_run(tmp_path / "run", rows, ids=HOSTILE, texts=HOSTILE, metadata={"judge": judge})
    (run,), _ = collect([tmp_path / "run"])
    file = export_run(tmp_path / "run", form, tmp_path / "out")
    back, _ = import_file(file, tmp_path / "back")
    assert_same(back, run, left_out=() if form == "every_eval_ever" else COUNTS)
    assert found(back) == found(run)


def test_scorio_says_the_same_of_the_arrays(tmp_path):
    write_run(tmp_path / "run", list(zip(GOLDS, SCORED, strict=True)))
    (run,), _ = collect([tmp_path / "run"])
    arrays = arrays_of(export_run(tmp_path / "run", "npz", tmp_path))
    outcomes = arrays["R"]
    for k in (1, 2, 4, 6):
        assert run.metrics[f"pass@{k}"].value == pytest.approx(scorio.pass_at_k(outcomes, k))
    _, chosen = aggregate.majority_vote(arrays["answers"], return_index=True)
    right = [row[index] if index >= 0 else 0 for row, index in zip(outcomes, chosen, strict=True)]
    assert run.metrics["voting@6"].value == pytest.approx(np.mean(right))
    beside = json.loads((tmp_path / "array.json").read_text())
    assert beside["question_ids"] == ["q0", "q1", "q2"]
    assert np.isnan(arrays["scores"][0, 2])


def test_outcomes_alone_have_no_votes(tmp_path):
    """Which wrong answers are the same is not known, so that any vote would be made up."""
    outcomes = np.array([[1, 0, 0, 1], [0, 0, 0, 0], [1, 1, 0, 1]])
    for name, array in (("i", outcomes), ("b", outcomes.astype(bool)), ("f", outcomes * 1.0)):
        np.save(tmp_path / f"{name}.npy", array)
        run, done = import_file(tmp_path / f"{name}.npy", tmp_path / name)
        assert "voting is left out" in done.stderr
        assert set(run.metrics) == {"pass@1", "pass@2", "pass@4", "coverage@4"}
        for k in (1, 2, 4):
            assert run.metrics[f"pass@{k}"].value == pytest.approx(scorio.pass_at_k(outcomes, k))
        assert run.judge == "outcome"
    again = export_run(tmp_path / "i", "npz", tmp_path / "again")
    (name, array), *others = arrays_of(again).items()
    assert (name, array.tolist(), others) == ("R", outcomes.tolist(), [])
    with pytest.raises(ResultsError, match="knows outcomes alone, and a record needs"):
        export_run(tmp_path / "i", "every_eval_ever", tmp_path / "record")


def test_ids_beside_an_array_are_taken(tmp_path):
    np.savez(tmp_path / "a.npz", outcomes=np.eye(2, dtype=np.uint8), allow_pickle=False)
    (tmp_path / "a.json").write_text('{"question_ids": ["x", 7]}')
    run, _ = import_file(tmp_path / "a.npz", tmp_path / "run")
    assert [one.question.id for one in read_log(run)] == ["x", "7"]


def test_a_part_of_the_candidates(tmp_path):
    write_run(tmp_path / "run", [("7", POOLS[0]), ("1", make_pool("1", "2"))])
    message = r"have 2 to 6 candidates.*Give --candidates 2, or fewer"
    with pytest.raises(ResultsError, match=message):
        export_run(tmp_path / "run", "npz", tmp_path)
    assert not list(tmp_path.glob("array*"))
    file = export_run(tmp_path / "run", "npz", tmp_path, "--candidates", "2")
    assert arrays_of(file)["R"].tolist() == [[1, 1], [1, 0]]
    with pytest.raises(ResultsError, match=r"--candidates 100: .* for each question"):
        export_run(tmp_path / "run", "npz", tmp_path / "more", "--candidates", "100")


def test_the_record_of_every_eval_ever(tmp_path):
    write_run(tmp_path / "run", list(zip(GOLDS, SCORED, strict=True)))
    (run,), _ = collect([tmp_path / "run"])
    samples = export_run(tmp_path / "run", "every_eval_ever", tmp_path / "out")
    place = samples.relative_to(tmp_path / "out").parent
    assert place.as_posix() == "data/latent_tts_arith/me/mine"
    uuid4 = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
    assert re.fullmatch(f"{uuid4}_samples[.]jsonl", samples.name)
    record = json.loads(
        samples.with_name(samples.name.replace("_samples.jsonl", ".json")).read_text()
    )
    results = {one["evaluation_result_id"]: one for one in record["evaluation_results"]}
    directed = set(run.metrics) - {"thoughts", "answer_tokens"}
    assert set(results) == directed
    for name in directed:
        assert results[name]["score_details"]["score"] == run.metrics[name].value
        assert results[name]["metric_config"]["lower_is_better"] is (
            name in ("unparsed", "truncated", "unscored")
        )
    lines = [json.loads(line) for line in samples.read_text().splitlines()]
    assert len(lines) == record["detailed_evaluation_results"]["total_rows"] == 18
    assert {line["evaluation_result_id"] for line in lines} == {"pass@1"}
    scores = [line["evaluation"]["score"] for line in lines]
    assert np.mean(scores) == pytest.approx(results["pass@1"]["score_details"]["score"])
    assert {line["evaluation_id"] for line in lines} == {record["evaluation_id"]}
    assert {line["model_id"] for line in lines} == {record["model_info"]["id"]} == {"me/mine"}


def test_the_published_validator_accepts_the_record(tmp_path):
    validate = pytest.importorskip("every_eval_ever.validator.validate")  # needs Python 3.12
    write_run(tmp_path / "run", list(zip(GOLDS, SCORED, strict=True)))
    samples = export_run(tmp_path / "run", "every_eval_ever", tmp_path / "out")
    files = [str(path) for path in samples.parent.iterdir()]
    assert validate.main(files) == 0


@pytest.mark.parametrize(("percent", "value"), [((), 1 / 3), (("--percent",), 100 / 3)])
def test_a_result_for_the_hub(tmp_path, percent, value):
    write_run(tmp_path / "run", list(zip(GOLDS, POOLS, strict=True)))
    options = [
        "--dataset",
        "me/set",
        "--task-id",
        HOSTILE[0],
        "--source-url",
        "https://a.b",
        *percent,
    ]
    done = command(
        export,
        tmp_path / "run",
        "--to",
        "eval_results",
        "--output",
        tmp_path / "hub",
        *options,
        *percent,
    )
    file = tmp_path / "hub" / ".eval_results" / "latent_tts_arith_voting_6.yaml"
    assert done.stdout.strip() == str(file)
    (entry,) = parse_eval_result_entries(yaml.safe_load(file.read_text()))
    assert (entry.dataset_id, entry.task_id) == ("me/set", HOSTILE[0])
    assert entry.value == pytest.approx(value, abs=1e-6)
    assert entry.source_url == "https://a.b"
    assert entry.notes.startswith("voting@6 of ")
    assert "noise 0.6, seed 1, 3 questions, standard error" in entry.notes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--to", "eval_results", "--task-id", "a"],
            "no set that is known to lie on the hub",
        ),
        (["--to", "eval_results", "--dataset", "a/b"], r"--task-id is needed .* eval\.yaml"),
        (
            ["--to", "eval_results", "--dataset", "a/b", "--task-id", "a", "--metric", "vote"],
            r"has no metric 'vote'",
        ),
        (["--to", "every_eval_ever"], "--model is needed for this format"),
        (["--to", "every_eval_ever", *RECORD[:2]], "--organization is needed"),
        (["--to", "every_eval_ever", *RECORD[:4]], "--relation is needed .*first_party"),
        (["--to", "every_eval_ever", *RECORD[2:], "--model", "../x"], "must be org/name"),
        (["--to", "every_eval_ever", *RECORD[2:], "--model", "a/b/c"], "must be org/name"),
        (["--to", "every_eval_ever", *RECORD[2:], "--model", "data/b"], "must be org/name"),
        (["--to", "eval_results", "--dataset", "gsm8k", "--task-id", "a"], r"'gsm8k' must be org/"),
        (["--to", "eval_results", "--dataset", "a/b/c", "--task-id", "a"], "must be org/name"),
        (["--to", "scorio", "--metric", "voting"], r"--metric is of --to eval_results; .*--candid"),
        (["--to", "scorio", "--percent"], r"--percent is of --to eval_results"),
        (["--to", "eval_results", "--candidates", "2"], r"--candidates is of --to scorio"),
        (["--to", "every_eval_ever", "--task-id", "a"], r"reads --task and --model, --organizati"),
        (["--to", "scorio"], r"must end in \.npz .* or in \.npy"),
        (["--to", "scorio", "--task", "gsm8k"], r"no task 'gsm8k'. Choose --task latent_tts_arith"),
    ],
)
def test_what_is_missing_is_asked_for_and_nothing_is_written(tmp_path, options, message):
    write_run(tmp_path / "run", list(zip(GOLDS, POOLS, strict=True)))
    with pytest.raises(ResultsError, match=message):
        command(export, tmp_path / "run", "--output", tmp_path / "out", *options)
    assert not (tmp_path / "out").exists()


def test_a_part_of_a_set_is_no_result_for_the_hub(tmp_path):
    write_run(tmp_path / "run", list(zip(GOLDS, POOLS, strict=True)), of=500)
    options = ["--to", "eval_results", "--dataset", "a/b", "--task-id", "a"]
    with pytest.raises(ResultsError, match=r"asked 3 of 500 questions \(--limit\)"):
        command(export, tmp_path / "run", "--output", tmp_path / "out", *options)


@pytest.mark.parametrize("form", FORMS)
def test_no_file_is_replaced_and_none_is_half_written(tmp_path, form):
    write_run(tmp_path / "run", list(zip(GOLDS, POOLS, strict=True)))
    file = export_run(tmp_path / "run", form, tmp_path / "out")
    before = {path: path.read_bytes() for path in file.parent.iterdir()}
    with pytest.raises(ResultsError, match=r"is there already\. Remove it, or name another place"):
        export_run(tmp_path / "run", form, tmp_path / "out")
    file.unlink()
    with pytest.raises(ResultsError, match="is there already"):
        export_run(tmp_path / "run", form, tmp_path / "out")
    after = {path: path.read_bytes() for path in file.parent.iterdir()}
    assert after == {path: content for path, content in before.items() if path != file}
    (tmp_path / "file").write_text("")
    with pytest.raises(ResultsError, match="cannot be written"):
        export_run(tmp_path / "run", form, tmp_path / "file" / "below")


def test_a_run_of_several_tasks_needs_one_named(tmp_path):
    for task in ("one", "two"):
        write_run(tmp_path / "run" / task, list(zip(GOLDS, POOLS, strict=True)), task=task)
    with pytest.raises(ResultsError, match=r"has several tasks\. Choose --task one or two"):
        export_run(tmp_path / "run", "npz", tmp_path)
    file = export_run(tmp_path / "run", "npz", tmp_path, "--task", "two")
    assert json.loads(file.with_suffix(".json").read_text())["task"] == "two"
