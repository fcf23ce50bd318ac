"""The committed runs, and what the README shows of them."""

import gzip
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from latent_tts.results import ResultsError, collect, read_samples
from latent_tts.results.keep import baseline
from latent_tts.results.readme import fill_sections, readme
from tests.results.made import edit, log_of, make_pool, write_run

ROOT = Path(__file__).parents[2]
ROWS = [("5", make_pool("5", "4")), ("7", make_pool("6", "6")), ("8", make_pool("8", "8"))]
TEMPLATE = "# Title\n<!-- latent-tts: results -->\nold\n<!-- /latent-tts -->\nmore\n"


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
    assert read_samples(kept.samples, name="run") == read_samples(run.samples, name="run")


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
    with pytest.raises(ResultsError, match=r"Keep one results file at a time, not .*, .* Name one"):
        invoke(baseline, tmp_path / "run", tmp_path / "kept")


@pytest.fixture
def project(tmp_path):
    write_run(tmp_path / "runs" / "noise", ROWS)
    first = [(gold, make_pool(pool.candidates[0].answer)) for gold, pool in ROWS]
    write_run(tmp_path / "runs" / "greedy", first, settings={"latent_do_sample": False})
    (tmp_path / "README.md").write_text(TEMPLATE)
    return tmp_path


def run_readme(project, *arguments):
    options = ("--readme", project / "README.md", "--baselines", project / "runs")
    return invoke(readme, *options, *arguments)


TABLE = """\
| task | sampler | metric | N = 1 | N = 2 |
|---|---|---|---|---|
| latent_tts_arith | noise 0.6 | coverage | 50.0 ± 28.9 | 66.7 ± 33.3 |
| latent_tts_arith | noise 0.6 | voting | 50.0 ± 28.9 | 66.7 ± 33.3 |
| latent_tts_arith | none | coverage | 66.7 ± 33.3 | – |
| latent_tts_arith | none | voting | 66.7 ± 33.3 | – |
"""


def test_the_table_is_made_from_the_runs(project):
    assert run_readme(project).exit_code == 0
    text = (project / "README.md").read_text()
    # pass@1 is 1/2, 0 and 1; the tied vote goes to the first.
    assert text == TEMPLATE.replace("old\n", TABLE)


def test_the_picture_is_drawn_of_sampled_runs(project):
    run_readme(project)
    with Image.open(project / "runs" / "latent_tts_arith.png") as image:
        assert image.format == "PNG"
        assert len(image.info["Description"]) == 64


def test_a_readme_that_matches_passes_and_stays_as_it_is(project):
    run_readme(project)
    before = {path: path.stat().st_mtime_ns for path in project.rglob("*") if path.is_file()}
    done = run_readme(project, "--check")
    assert done.exit_code == 0
    run_readme(project)
    changed = {path for path, time in before.items() if path.stat().st_mtime_ns != time}
    assert changed == set()


def test_a_table_or_picture_that_does_not_match_fails(project):
    done = run_readme(project, "--check")
    assert done.exit_code == 1
    assert "README.md, " in done.stdout
    assert "latent_tts_arith.png. Run `latent-tts readme`" in done.stdout
    assert (project / "README.md").read_text() == TEMPLATE
    run_readme(project)
    write_run(project / "runs" / "noise", ROWS[::-1] + ROWS[:1])
    assert run_readme(project, "--check").exit_code == 1


def test_a_run_that_cannot_be_used_is_refused(project):
    log_of(write_run(project / "runs" / "bad", ROWS, settings={"seed": 4})).unlink()
    with pytest.raises(ResultsError, match=r"Every committed run must be usable: .*no sample log"):
        run_readme(project)


def test_no_runs_are_refused(project):
    (project / "empty").mkdir()
    with pytest.raises(ResultsError, match=r"Every committed run must be usable: .*empty"):
        run_readme(project, "--baselines", project / "empty")


@pytest.mark.parametrize(
    "text", ["# Title", TEMPLATE.replace(": results", ": table"), TEMPLATE + TEMPLATE]
)
def test_a_readme_without_its_markers_is_refused(text):
    with pytest.raises(ResultsError, match=r"The README has the sections .* but must have each of"):
        fill_sections(text, {"results": ""})


def test_the_readme_shows_the_committed_runs():
    done = invoke(
        readme, "--check", "--readme", ROOT / "README.md", "--baselines", ROOT / "results/baselines"
    )
    assert done.exit_code == 0, done.output
