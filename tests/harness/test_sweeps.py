"""`latent-tts sweep FILE`: ordinary runs, what they share sampled once, going on, and bad files."""

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from latent_tts.harness.commands.sweep import sweep
from latent_tts.harness.sweeps import find_points, groups, read_sweep
from latent_tts.results import ResultsError, collect
from tests.harness.evaluation import BENCHMARKS

SETTINGS = {
    "latent_do_sample_by": ["noise", "dropout"],
    "noise_std": [0.5, 1.0],
    "dropout_p": [0.1],
    "num_return_sequences": [2, 4],
    "latent_length": 3,
    "max_new_tokens": 12,
}


def write(folder, **changes):
    file = folder / "sweep.yaml"
    file.write_text(yaml.safe_dump({"tasks": ["latent_tts_gsm8k"], "settings": SETTINGS} | changes))
    return file


def test_points_are_all_combinations_that_differ(tmp_path):
    points = find_points(read_sweep(write(tmp_path)))
    told = [tuple(point.settings.get(name) for name in list(SETTINGS)[:4]) for point in points]
    assert sorted(told, key=str) == sorted(
        [
            *(("noise", std, None, n) for std in (0.5, 1.0) for n in (2, 4)),
            *(("dropout", None, 0.1, n) for n in (2, 4)),
        ],
        key=str,
    )
    assert len({point.name for point in points}) == 6
    sizes = [[point.settings["num_return_sequences"] for point in part] for part in groups(points)]
    assert sizes == [[4, 2]] * 3  # what the larger run has drawn, the smaller one takes
    steady = {"latent_do_sample": [True, False], "noise_std": [0.5, 1.0], "seed": 1}
    names = [point.name for point in find_points(read_sweep(write(tmp_path, settings=steady)))]
    assert len(names) == 3  # the deterministic answer has no strength
    assert sum("latent_do_sample=False" in name for name in names) == 1


def test_named_points_have_settings_of_their_own(tmp_path):
    points = {
        "steady": {"latent_do_sample": False},
        "louder": {"latent_do_sample_by": "noise", "noise_std": [1, 2]},
    }
    shared = {"seed": 3, "noise_std": 0.5, "num_return_sequences": 4}
    found = find_points(read_sweep(write(tmp_path, settings=shared, points=points)))
    assert {point.name: point.settings for point in found} == {
        "steady": {"seed": 3, "latent_do_sample": False},
        "louder,noise_std=1": {**shared, "latent_do_sample_by": "noise", "noise_std": 1},
        "louder,noise_std=2": {**shared, "latent_do_sample_by": "noise", "noise_std": 2},
    }


def test_a_group_has_tasks_and_flags_of_its_own(tmp_path):
    points = {"here": {"seed": [1, 2]}, "there": {"tasks": ["other"], "flags": {"limit": 5}}}
    found = find_points(
        read_sweep(write(tmp_path, settings={"seed": 3}, flags={"limit": 9}, points=points))
    )
    assert [(point.name, point.tasks, point.settings, point.flags) for point in found] == [
        ("here,seed=1", ("latent_tts_gsm8k",), {"seed": 1}, {"limit": 9}),
        ("here,seed=2", ("latent_tts_gsm8k",), {"seed": 2}, {"limit": 9}),
        ("there", ("other",), {"seed": 3}, {"limit": 5}),
    ]


BAD = {
    "tasks of a group that are no list": ({"points": {"a": {"tasks": "arith"}}}, "is no sweep"),
    "no settings": ({"settings": None}, "is no sweep"),
    "nothing to run": ({"settings": {}}, "A sweep needs `settings`, or `points`"),
    "a typo": ({"setings": {}}, r"no 'setings' in a sweep. Did you mean settings\?"),
    "no values": ({"settings": {"seed": []}}, r"settings: seed: \[\]; allowed are"),
    "a comma": ({"settings": {"pretrained": "a,b"}}, "without commas"),
    "no list": ({"tasks": 5}, "is no sweep"),
}


@pytest.mark.parametrize("case", BAD)
def test_files_that_are_no_sweep(tmp_path, case):
    changes, message = BAD[case]
    with pytest.raises(ResultsError, match=message):
        find_points(read_sweep(write(tmp_path, **changes)))


def test_flags_of_the_other_use_are_refused(tmp_path):
    arguments = [str(write(tmp_path)), "--output", str(tmp_path / "out"), "--noise-std", "0.1"]
    done = CliRunner().invoke(sweep, arguments)
    assert done.exit_code == 2
    assert "--noise-std has no meaning beside FILE" in done.output


@pytest.fixture(scope="module")
def swept(checkpoints, data, tmp_path_factory):
    """A sweep of two strengths and two N that ended, and its command."""
    folder = tmp_path_factory.mktemp("sweep")
    settings = SETTINGS | {
        "pretrained": str(checkpoints["coconut"]),
        "latent_do_sample_by": "noise",
    }
    flags = {"include_path": str(BENCHMARKS), "metadata": {"data_dir": str(data)}, "limit": 3}
    command = [str(write(folder, settings=settings, flags=flags)), "--output", str(folder / "out")]
    done = CliRunner().invoke(sweep, command, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return folder / "out", command


@pytest.mark.slow
def test_every_point_is_a_run_and_shares_its_candidates(swept):
    output, _ = swept
    runs, _ = collect([output / "runs"])
    assert sorted((run.config.strength, run.config.samples) for run in runs) == [
        (strength, count) for strength in (0.5, 1.0) for count in (2, 4)
    ]
    files = (output / "store").rglob("*.jsonl")
    stored = [line for file in files for line in file.read_text().splitlines()]
    assert sum('"kind":"sampled"' in line for line in stored) == 2 * 3 * 4  # none for N = 2
    assert (output / "board" / "index.html").is_file()
    drawn = {}
    for run in runs:
        made = json.loads(run.results.read_text())["config"]["latent_tts"]["tasks"]
        drawn[run.config.strength, run.config.samples] = "throughput" in made["latent_tts_gsm8k"]
    assert drawn == {(s, n): n == 4 for s in (0.5, 1.0) for n in (2, 4)}


@pytest.mark.slow
def test_a_sweep_goes_on_where_it_stopped(swept):
    output, command = swept
    before = {file: file.stat().st_mtime_ns for file in (output / "runs").rglob("results_*.json")}
    lost = min(before)
    lost.unlink()
    (lost.parents[1] / "point.json").unlink()
    done = CliRunner().invoke(sweep, command, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    after = {file: file.stat().st_mtime_ns for file in (output / "runs").rglob("results_*.json")}
    assert len(after) == len(before) == 4
    del before[lost]
    assert before.items() <= after.items()
    changed = output.parent / "sweep.yaml"
    changed.write_text(changed.read_text().replace("limit: 3", "limit: 2"))
    with pytest.raises(ResultsError, match=r"holds another run: flags.limit was 3 and is now 2"):
        CliRunner().invoke(sweep, command, catch_exceptions=False)
    changed.write_text(changed.read_text().replace("limit: 2", "limit: 3"))


@pytest.mark.slow
def test_submitit_runs_the_points(swept, tmp_path):
    output, command = swept
    file = yaml.safe_load(Path(command[0]).read_text())
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(file | {"slurm": {"timeout_min": 60}}))
    arguments = [str(tmp_path / "sweep.yaml"), "--output", str(tmp_path / "out")]
    arguments += ["--slurm", "local"]
    done = CliRunner().invoke(sweep, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    mine, theirs = (collect([folder / "runs"])[0] for folder in (tmp_path / "out", output))
    assert {run.name: run.metrics for run in mine} == {run.name: run.metrics for run in theirs}


@pytest.mark.slow
def test_a_point_that_fails_is_named_with_its_last_words(tmp_path):
    settings = {"pretrained": "no-such-checkpoint", "seed": 1}
    arguments = [str(write(tmp_path, settings=settings)), "--output", str(tmp_path / "out")]
    with pytest.raises(ResultsError, match=r"run failed with \d+: .*no-such-checkpoint.*log.txt"):
        CliRunner().invoke(sweep, arguments, catch_exceptions=False)
