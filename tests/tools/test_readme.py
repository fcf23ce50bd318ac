"""tools/readme.py: what the README shows of the committed runs."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from latent_tts.results import ResultsError
from tests.results.made import log_of, make_pool, write_run
from tests.tools.load import load

fill_sections, readme = (getattr(load("readme"), name) for name in ("fill_sections", "main"))

ROOT = Path(__file__).parents[2]
ROWS = [("5", make_pool("5", "4")), ("7", make_pool("6", "6")), ("8", make_pool("8", "8"))]
TEMPLATE = "# Title\n<!-- latent-tts: results -->\nold\n<!-- /latent-tts -->\nmore\n"


def invoke(command, *arguments):
    return CliRunner().invoke(command, list(map(str, arguments)), catch_exceptions=False)


@pytest.fixture
def project(tmp_path):
    write_run(tmp_path / "runs" / "noise", ROWS)
    first = [(gold, make_pool(pool.candidates[0].answer)) for gold, pool in ROWS]
    write_run(tmp_path / "runs" / "greedy", first, settings={"latent_do_sample": False})
    (tmp_path / "README.md").write_text(TEMPLATE)
    return tmp_path


def run_readme(project, *arguments):
    folders = {"--baselines": project / "runs", "--board": project / "board"}
    options = (
        "--page",
        project / "README.md",
        *(part for pair in folders.items() for part in pair),
    )
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


def test_the_board_is_what_claims_wrote(project):
    (project / "README.md").write_text(TEMPLATE + TEMPLATE.replace(": results", ": board"))
    (project / "board").write_text("| a |\n|---|\n| 1 |\n")
    run_readme(project)
    text = (project / "README.md").read_text()
    filled = TEMPLATE.replace("old\n", TABLE)
    board = TEMPLATE.replace(": results", ": board").replace("old", "| a |\n|---|\n| 1 |")
    assert text == filled + board


@pytest.mark.slow
def test_the_picture_is_drawn_of_sampled_runs(project):
    run_readme(project)
    with Image.open(project / "runs" / "latent_tts_arith.png") as image:
        assert image.format == "PNG"
        assert len(image.info["Description"]) == 64


@pytest.mark.slow
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
    assert "latent_tts_arith.png. Run tools/readme.py" in done.stdout
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
    with pytest.raises(ResultsError, match=r"The pages have the sections .* but must have each of"):
        fill_sections({ROOT / "README.md": text}, {"results": ""})


def test_the_readme_shows_the_committed_runs():
    done = invoke(readme, "--check", "--baselines", ROOT / "results/baselines")
    assert done.exit_code == 0, done.output
