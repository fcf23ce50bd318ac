"""tools/baseline.py: a run made small enough to commit."""

import gzip
import json

import pytest
from click.testing import CliRunner

from latent_tts.results import ResultsError, collect
from tests.results.made import edit, make_pool, pools_of, write_run
from tests.tools.load import load

ROWS = [("5", make_pool("5", "4")), ("7", make_pool("6", "6")), ("8", make_pool("8", "8"))]
baseline = load("baseline").main


def invoke(command, *arguments):
    return CliRunner().invoke(command, list(map(str, arguments)), catch_exceptions=False)


def test_a_kept_run_says_what_the_run_says(tmp_path):
    file = write_run(tmp_path / "run", ROWS)
    write_run(tmp_path / "run", ROWS[:2], task="more", date="2031-01-01T00-00-00.0")
    done = invoke(baseline, file, tmp_path / "kept" / "run")
    assert [line.split(" (")[0] for line in done.stdout.splitlines()] == [
        str(path) for path in sorted((tmp_path / "kept" / "run").iterdir())
    ]
    (run,), problems = collect([file])
    (kept,), more = collect([tmp_path / "kept"])
    assert problems == more == []
    same = ("name", "task", "task_version", "date", "config", "metrics", "questions", "setup")
    same += ("questions_hash", "throughput", "tolerance", "higher_is_better")
    for field in same:
        assert getattr(kept, field) == getattr(run, field), field
    assert pools_of(kept) == pools_of(run)


def test_a_kept_run_tells_nothing_of_the_machine(tmp_path):
    invoke(baseline, write_run(tmp_path / "run", ROWS), tmp_path / "kept")
    text = next((tmp_path / "kept").glob("results_*")).read_text()
    assert "pretty_env_info" not in text
    assert "config_source" not in text
    packed = next((tmp_path / "kept").glob("samples_*")).read_bytes()
    sample = json.loads(gzip.decompress(packed).splitlines()[0])
    assert not {"filtered_resps", "arguments", "doc_hash"} & set(sample)


@pytest.mark.parametrize(
    ("name", "kept_name"),
    [
        ("/some/one/checkpoint", "checkpoint"),
        ("../runs/checkpoint/", "checkpoint"),
        ("a/b/checkpoint", "checkpoint"),
        ("owner/name", "owner/name"),
        ("tiny", "tiny"),
    ],
)
def test_a_kept_run_names_models_without_a_machine_s_path(tmp_path, name, kept_name):
    model = {"name": name, "weights_sha256": "r"}
    file = write_run(tmp_path / "run", ROWS, checkpoint={"name": name}, reward_model=model)
    edit(file, lambda content: content.update(model_name_sanitized=name.replace("/", "__")))
    invoke(baseline, file, tmp_path / "kept")
    (kept,), _ = collect([tmp_path / "kept"])
    assert (kept.config.checkpoint, kept.config.reward_model) == (kept_name, kept_name)
    assert (kept.name, kept.config.reward_sha256) == ("kept", "r")
    if kept_name != name:
        text = kept.results.read_text()
        assert name not in text
        assert name.replace("/", "__") not in text


def test_a_baseline_that_cannot_be_written_is_named(tmp_path):
    file = write_run(tmp_path / "run", ROWS)
    with pytest.raises(ResultsError, match=r"cannot be written \(Not a directory\). Name another"):
        invoke(baseline, file, file / "below")


def test_keeping_again_gives_the_same_bytes_even_from_what_was_kept(tmp_path):
    file = write_run(tmp_path / "run", ROWS)
    invoke(baseline, file, tmp_path / "one")
    invoke(baseline, tmp_path / "one", tmp_path / "two")
    files = {
        folder: {path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()}
        for folder in ("one", "two")
    }
    assert files["one"] == files["two"]


def test_a_folder_that_holds_something_is_refused(tmp_path):
    file = write_run(tmp_path / "run", ROWS)
    with pytest.raises(ResultsError, match=r"is not empty. Empty it first, or name another"):
        invoke(baseline, file, tmp_path)


def test_results_files_are_kept_one_at_a_time(tmp_path):
    write_run(tmp_path / "run", ROWS)
    write_run(tmp_path / "run", ROWS, task="more", date="2031-01-01T00-00-00.0")
    with pytest.raises(
        ResultsError, match=r"Store one results file at a time, not .*, .* Name one"
    ):
        invoke(baseline, tmp_path / "run", tmp_path / "kept")
