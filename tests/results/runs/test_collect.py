"""Which runs are found under folders, what is known of them, and what is left out by name."""

import gzip
import re
import shutil
from pathlib import Path

import pytest

from latent_tts.results import Estimate, ResultsError, collect, judge, read_log
from tests.results.made import edit, log_of, make_pool, pools_of, write_run

BASELINES = Path(__file__).parents[3] / "results" / "baselines"
ROWS = [("5", make_pool("5", "4", "5", None)), ("7", make_pool("6", "7", "6", "6"))]


def test_a_record_says_what_lm_eval_wrote(tmp_path):
    file = write_run(tmp_path / "noise", ROWS, reward_model={"name": "rm", "weights_sha256": "r"})
    (run,), problems = collect([tmp_path])
    assert problems == []
    assert (run.name, run.task, run.task_version) == ("noise", "latent_tts_arith", "1.0")
    assert (run.questions, run.throughput, run.tolerance) == (2, 4.0, "0")
    assert (run.mean("thoughts"), run.mean("answer_tokens"), run.mean("x")) == (6.0, 2.0, None)
    assert (run.results, run.samples) == (file, log_of(file))
    assert run.metrics["pass@1"] == Estimate(0.375, 0.125)  # 2/4 and 1/4
    assert run.metrics["voting@4"] == Estimate(0.5, 0.5)
    assert "alias" not in run.metrics
    config = run.config
    assert (config.checkpoint, config.weights_sha256, config.backbone) == ("tiny", "abc", "coconut")
    assert (config.sampler, config.strength, config.samples) == ("noise", 0.6, 4)
    assert (config.seed, config.reward_model, config.parameters) == (1, "rm", 1000)
    assert config.reward_sha256 == "r"
    assert (config.revision, config.device) == ("main", "cpu")
    assert config.versions == {"latent-tts": "0.1.0"}
    assert not config.deterministic


@pytest.mark.parametrize(
    ("settings", "sampler", "strength"),
    [
        ({"latent_do_sample_by": "dropout"}, "dropout", 0.05),
        ({"latent_do_sample_by": "gumbel"}, "gumbel", None),
        ({"latent_do_sample": False}, "none", 0.0),
        ({"latent_do_sample": False, "do_sample": True}, "temperature", 0.7),
    ],
)
def test_the_sampler_is_read_from_the_settings(tmp_path, settings, sampler, strength):
    write_run(tmp_path, ROWS, settings=settings)
    (run,), _ = collect([tmp_path])
    assert (run.config.sampler, run.config.strength) == (sampler, strength)
    assert run.config.deterministic == (sampler == "none")


def test_repeats_multiply_the_samples(tmp_path):
    file = write_run(tmp_path, ROWS)
    edit(file, lambda content: content["configs"]["latent_tts_arith"].update(repeats=3))
    (run,), _ = collect([tmp_path])
    assert run.config.samples == 12


def test_one_question_has_no_standard_error(tmp_path):
    write_run(tmp_path, ROWS[:1])
    (run,), _ = collect([tmp_path])
    assert run.metrics["pass@1"] == Estimate(0.5, None)


def test_real_runs_are_read_and_agree_with_their_logs():
    runs, problems = collect([BASELINES])
    assert problems == []
    assert {run.config.sampler for run in runs} >= {"noise", "dropout", "none"}
    for run in runs:
        found = judge(run)
        assert len(found.questions) == run.questions
        for name, (value, stderr) in run.metrics.items():
            assert found.metrics[name].mean() == pytest.approx(value)
            assert found.metrics[name].sem() == pytest.approx(stderr, abs=1e-12)


def test_real_pools_give_the_real_metrics():
    run = next(run for run in collect([BASELINES])[0] if run.config.sampler == "none")
    logged = list(read_log(run))
    right = [one.pool().candidates[0].answer == one.question.gold for one in logged]
    assert sum(right) / len(right) == pytest.approx(run.metrics["pass@1"].value)
    assert logged[0].question.id == "arith-test-0"
    assert logged[0].question.text.startswith("From a box of 11 badges")


def test_names_are_paths_below_the_folder_that_was_given(tmp_path):
    write_run(tmp_path / "a" / "one", ROWS)
    write_run(tmp_path / "b", ROWS, settings={"seed": 2})
    assert {run.name for run in collect([tmp_path])[0]} == {"a/one", "b"}
    assert {run.name for run in collect([tmp_path / "b", tmp_path / "a"])[0]} == {"b", "one"}
    file = next((tmp_path / "b").rglob("results_*.json"))
    assert [run.name for run in collect([file])[0]] == ["b"]


def test_a_folder_named_twice_counts_once(tmp_path):
    write_run(tmp_path / "a", ROWS)
    runs, problems = collect([tmp_path, tmp_path / "a"])
    assert (len(runs), problems) == (1, [])


def test_runs_of_one_name_are_told_apart_by_date(tmp_path):
    for day, seed in ((1, 5), (2, 6)):
        write_run(tmp_path, ROWS, date=f"2030-01-0{day}T00-00-00.000000", settings={"seed": seed})
    names = [run.name for run in collect([tmp_path])[0]]
    assert names == [f"{tmp_path.name} 2030-01-0{day}T00-00-00.000000" for day in (1, 2)]


def test_a_packed_log_is_as_good(tmp_path):
    file = write_run(tmp_path, ROWS)
    log = log_of(file)
    log.with_name(f"{log.name}.gz").write_bytes(gzip.compress(log.read_bytes()))
    plain = pools_of(collect([tmp_path])[0][0])
    log.unlink()
    (run,), problems = collect([tmp_path])
    assert problems == []
    assert pools_of(run) == plain


@pytest.fixture
def good(tmp_path):
    """A folder with a run that can be used; what else lies there must not matter to it."""
    write_run(tmp_path / "good", ROWS)
    return tmp_path


def assert_named(folder, message, *, kept=("good",), skipped=True):
    """Only `kept` is used, and one problem says why."""
    runs, (problem,) = collect([folder])
    assert [run.name for run in runs] == list(kept)
    assert re.search(message, str(problem)), problem
    assert problem.skipped == skipped


def test_runs_of_other_models_are_left_out(good):
    file = write_run(good / "bad", ROWS)
    edit(file, lambda content: content["config"].pop("latent_tts"))
    edit(file, lambda content: content["config"].update(model="hf"))
    edit(file, lambda content: content["results"].update(latent_tts_arith={"acc,none": 1.0}))
    assert_named(good, r"bad/model/results_.*latent_tts_arith of --model hf is no task of this pro")


def test_tasks_of_others_are_left_out(good):
    file = write_run(good / "bad", ROWS, task="gsm8k")
    log = log_of(file)
    log.write_text(log.read_text().replace(r"{\"candidates\"", r"{\"texts\""))
    assert_named(good, r"gsm8k is no task of this project: samples_gsm8k_.* holds no pools")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[:-20], "was cut off or added to: 2 lines, the last torn, expected 2"),
        (lambda data: data[: data.index(b"\n") + 1], "added to: 1 lines, expected 2. Run again"),
        (lambda data: data + data, "added to: 4 lines, expected 2"),
    ],
)
def test_a_log_that_is_not_whole_is_left_out(good, damage, message):
    log = log_of(write_run(good / "bad", ROWS))
    log.write_bytes(damage(log.read_bytes()))
    assert_named(good, message)


def test_an_empty_log_was_cut_off(good):
    log_of(write_run(good / "bad", ROWS)).write_text("")
    assert_named(good, "was cut off or added to: 0 lines, expected 2. Run again")


def test_a_link_to_nowhere_is_left_out(good):
    (good / "results_2030-01-01T00-00-00.json").symlink_to(good / "nowhere")
    assert_named(good, r"results_2030.*: cannot be read \(No such file or directory\). Run again")


def test_a_folder_of_a_results_file_s_name_is_left_out(good):
    (good / "results_2030-01-01T00-00-00.json").mkdir()
    assert_named(good, r"results_2030.*: cannot be read \(Is a directory\). Run again")


def change_made(**changes):
    return lambda content: content["config"]["latent_tts"].update(changes)


def change_settings(**changes):
    def change(content):
        content["config"]["latent_tts"]["tasks"]["latent_tts_arith"]["settings"].update(changes)

    return change


def change_task(**changes):
    return lambda content: content["configs"]["latent_tts_arith"].update(changes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda content: content.update(config=None),
            r"Expected `object`, got `null` - at `\$.conf",
        ),
        (
            lambda content: content.update(configs=None),
            r"got `null` - at `\$.configs`\). Run again",
        ),
        (change_task(metadata={"tolerance": "wide"}), "tolerance is 'wide'; it must be a number"),
        (change_task(metadata=5), r"no results file of lm-eval \(.*metadata`\). Run again"),
        (
            change_task(repeats="two"),
            r"Expected `int . null`, got `str` - at .*\.repeats`\). Run a",
        ),
        (
            change_settings(sampler_strength="noise_std", noise_std="much"),
            "got `str` .* Run lm_eval",
        ),
        (
            change_settings(num_return_sequences="4"),
            r"at `\$.num_return_sequences`. Run lm_eval again",
        ),
        (
            change_settings(num_return_sequences=0),
            "Expected `int` >= 1 - at .*num_return_sequences",
        ),
        (change_settings(seed=[1]), r"got `array` - at `\$.seed`. Run lm_eval again"),
        (change_made(versions=[1]), r"got `array` - at `\$.config.latent_tts.versions`"),
        (change_made(backbone={}), r"got `object` - at `\$.config.latent_tts.backbone`"),
    ],
)
def test_a_results_file_with_something_else_in_it_is_left_out(good, change, message):
    edit(write_run(good / "bad", ROWS), change)
    assert_named(good, message)


def test_a_packed_log_that_was_cut_off_is_left_out(good):
    log = log_of(write_run(good / "bad", ROWS))
    log.with_name(f"{log.name}.gz").write_bytes(gzip.compress(log.read_bytes())[:-30])
    log.unlink()
    assert_named(good, "gz was cut off or added to: .*, the last torn")


def test_a_packed_log_that_is_no_archive_is_left_out(good):
    log = log_of(write_run(good / "bad", ROWS))
    log.with_name(f"{log.name}.gz").write_bytes(log.read_bytes())
    log.unlink()
    assert_named(good, "gz was cut off or added to: 0 lines, the last torn")


def test_a_run_without_a_log_is_left_out(good):
    log_of(write_run(good / "bad", ROWS)).unlink()
    assert_named(good, "latent_tts_arith has no sample log beside it. Run lm_eval with --log_sam")


def test_a_log_without_results_is_left_out(good):
    write_run(good / "bad", ROWS).unlink()
    assert_named(good, r"samples_latent_tts_arith_.*: a sample log without its results file")


@pytest.mark.parametrize("content", ['{"results": ', "[]", '{"results": 5}'])
def test_a_damaged_results_file_is_left_out(good, content):
    file = write_run(good / "bad", ROWS)
    file.write_text(content)
    log_of(file).unlink()
    assert_named(good, r"results_.*: no results file of lm-eval \(.*\). Run again")


def test_results_without_what_lm_eval_writes_are_left_out(good):
    edit(write_run(good / "bad", ROWS), lambda content: content.pop("n-samples"))
    assert_named(good, r"missing required field `n-samples`")


def test_results_that_judge_nothing_are_left_out(good):
    file = write_run(good / "bad", ROWS)
    numbers = {"alias": "x", "bypass,none": 999, "bypass_stderr,none": "N/A"}
    edit(file, lambda content: content["results"].update(latent_tts_arith=numbers))
    assert_named(good, "no metrics in it: --predict_only judges nothing")


def test_a_repeated_run_counts_once_and_the_newest(good):
    write_run(good / "again", ROWS, date="2031-01-01T00-00-00.000000")
    assert_named(
        good, "good.*was run again with the same settings; the newest counts, ", kept=["again"]
    )


def test_a_setting_left_at_none_makes_no_other_run(good):
    later = {"date": "2031-01-01T00-00-00.000000", "settings": {"num_beams": None}}
    write_run(good / "again", ROWS, **later)
    assert_named(good, "good.*was run again with the same settings", kept=["again"])


def test_a_copied_run_counts_once(good):
    shutil.copytree(good / "good", good / "copy")
    assert_named(good, "copy/.* run again with the same settings")


@pytest.mark.parametrize(
    "difference",
    [
        {"settings": {"seed": 2}},
        {"settings": {"noise_std": 0.7}},
        {"checkpoint": {"weights_sha256": "def"}},
        {"checkpoint": {"base_sha256": "b"}},
        {"checkpoint": {"adapter": "a", "adapter_sha256": "a"}},
        {"reward_model": {"name": "rm"}},
        {"reward_model": {"weights_sha256": "r"}},
        {"metadata": {"tolerance": 1}},
    ],
)
def test_other_settings_are_another_run(good, difference):
    write_run(good / "other", ROWS, **difference)
    runs, problems = collect([good])
    assert ({run.name for run in runs}, problems) == ({"good", "other"}, [])


@pytest.mark.parametrize(
    "difference",
    [{"prompt_format": "(Thinking speed: 1) {question}"}, {"backbone": "soft_thinking"}],
)
def test_the_same_weights_asked_otherwise_are_another_run(good, difference):
    results = write_run(good / "other", ROWS)
    edit(results, lambda content: content["config"]["latent_tts"].update(difference))
    runs, problems = collect([good])
    assert ({run.name for run in runs}, problems) == ({"good", "other"}, [])


def test_older_versions_of_a_task_are_left_out(good):
    write_run(good / "old", ROWS, version=0.9, date="2029-01-01T00-00-00.000000")
    assert_named(good, "latent_tts_arith of version 0.9, while newer runs have version 1.0; versio")


def test_several_package_versions_are_told(good):
    write_run(good / "other", ROWS, versions={"latent-tts": "0.2.0"})
    message = r"run with several versions of latent-tts: 0.1.0 \(good\), 0.2.0 \(other\)"
    assert_named(good, message, kept=["good", "other"], skipped=False)


def test_a_folder_without_runs_is_named(good):
    (good / "empty").mkdir()
    runs, (problem,) = collect([good, good / "empty"])
    assert len(runs) == 1
    assert re.search(r"empty: no results_<date>.json below it", str(problem))


def test_another_file_is_named(good):
    file = good / "notes.json"
    file.write_text("{}")
    _, (problem,) = collect([file])
    assert "notes.json: not named like a results file" in str(problem)


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(ResultsError, match=r"There is no .*nowhere'; name the --output_path"):
        collect([tmp_path / "nowhere"])
