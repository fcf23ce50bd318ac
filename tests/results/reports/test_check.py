"""`latent-tts check`: what fails, what passes, and how often it errs."""

import json
import math
import random
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from latent_tts.harness.commands.check import check
from latent_tts.results import ResultsError
from latent_tts.results.reports.drops import find_drops, gated_metrics
from latent_tts.tasks import Pool
from tests.results.made import edit, log_of, make_pool, write_run
from tests.results.reports.gate_study import failure_rates, load

BASELINES = Path(__file__).parents[3] / "results" / "baselines"
STEADY = {"latent_do_sample": False}


def make_rows(right, *, questions=60, n=4, seed=0):
    """Pools whose candidates are right with a probability, in per cent."""
    dice = random.Random(seed)
    return [
        (
            str(index),
            make_pool(*(str(index if dice.random() < right else 1000 + index) for _ in range(n))),
        )
        for index in range(questions)
    ]


def run_check(*arguments):
    return CliRunner().invoke(check, list(map(str, arguments)), catch_exceptions=False)


@pytest.fixture
def base(tmp_path):
    write_run(tmp_path / "base", make_rows(0.8))
    return tmp_path


def test_another_seed_passes(base):
    write_run(base / "new", make_rows(0.8, seed=1), settings={"seed": 2})
    done = run_check(base / "new", "--baseline", base / "base")
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith(
        "latent_tts_arith, noise 0.6, N = 4 (60 questions; new against base)\n"
    )
    assert done.stdout.endswith("\npassed\n")
    assert done.stderr == ""


def test_a_worse_checkpoint_fails(base):
    worse = {"weights_sha256": "worse"}
    write_run(base / "new", make_rows(0.5, seed=1), settings={"seed": 2}, checkpoint=worse)
    done = run_check(base / "new", "--baseline", base / "base")
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    (row,) = [line for line in lines if line.startswith("pass@1")]
    assert row.endswith("DROPPED: p <= 0.01")
    assert lines[-1] == "FAILED"


def test_another_prompt_format_is_another_setting(base):
    """Such as CoLaR's speed, which stands in the prompt; an old record may not know its own."""
    results = write_run(base / "new", make_rows(0.8, seed=7), settings={"seed": 3})
    edit(results, lambda content: content["config"]["latent_tts"].update(prompt_format="now"))
    done = run_check(base / "new", "--baseline", base / "base")
    assert done.exit_code == 1
    assert "prompt_format was '{question}' and is now 'now'" in done.stdout
    (old,) = (base / "base").rglob("results_*")
    edit(old, lambda content: content["config"]["latent_tts"].pop("prompt_format"))
    assert run_check(base / "new", "--baseline", base / "base").exit_code == 0


def test_a_better_checkpoint_passes(base):
    write_run(base / "new", make_rows(1.0), checkpoint={"weights_sha256": "better"})
    assert run_check(base / "new", "--baseline", base / "base").exit_code == 0


def test_a_smaller_alpha_forgives_more(base):
    write_run(base / "new", make_rows(0.65, seed=1), settings={"seed": 2})
    assert run_check(base / "new", "--baseline", base / "base", "--alpha", 0.3).exit_code == 1
    assert run_check(base / "new", "--baseline", base / "base", "--alpha", 1e-6).exit_code == 0


def test_only_accuracies_at_the_most_candidates_are_tested():
    names = ["pass@1", "pass@8", "coverage@8", "voting@1", "voting@8", "best_of_n@4", "unparsed"]
    table = pd.DataFrame([[0.0] * 9], columns=[*names, "beam_search", "thoughts"])
    assert gated_metrics(table, table) == ["pass@1", "beam_search", "voting@8", "best_of_n@4"]
    one = table[["pass@1", "voting@1"]]
    assert gated_metrics(table, one) == ["pass@1"]  # one vote is no other strategy


def test_a_pair_without_a_common_accuracy_is_refused():
    one, other = pd.DataFrame({"pass@1": [1.0] * 3}), pd.DataFrame({"unparsed": [0.0] * 3})
    with pytest.raises(ResultsError, match=r"a run: no accuracy such as pass@1 is known of both"):
        find_drops({"a run": (one, other)}, alpha=0.05)


def test_two_baselines_of_one_label_are_both_checked(base):
    write_run(base / "base" / "more", make_rows(0.5, seed=3), settings={"latent_length": 9})
    write_run(base / "new" / "a", make_rows(0.8, seed=7), settings={"seed": 3})
    write_run(base / "new" / "b", make_rows(0.1, seed=7), settings={"latent_length": 9})
    done = run_check(base / "new", "--baseline", base / "base")
    assert done.exit_code == 1
    assert "; a against base)" in done.stdout
    assert "; b against more)" in done.stdout


def test_p_values_are_adjusted_for_all_runs_together():
    # Six questions lost of six: p = 1/64 alone. Holm takes the smallest of three times three.
    old = pd.DataFrame({"pass@1": [1.0] * 6})
    new = pd.DataFrame({"pass@1": [0.0] * 6})
    (alone,) = find_drops({"a": (new, old)}, alpha=0.05)
    assert alone.p == pytest.approx(1 / 64)
    assert alone.failed
    three = find_drops({"a": (new, old), "b": (old, old), "c": (old, old)}, alpha=0.05)
    assert [drop.p for drop in three] == pytest.approx([3 / 64, 1, 1])
    assert (three[0].new, three[0].old, three[0].stderr) == (0, 1, 0)


@pytest.mark.parametrize(("alpha", "failed"), [(1 / 64, True), (0.0156, False), (0.02, True)])
def test_a_drop_fails_from_alpha_down(alpha, failed):
    old = pd.DataFrame({"pass@1": [1.0] * 6})
    (drop,) = find_drops({"a": (1 - old, old)}, alpha=alpha)  # p = 1/64
    assert drop.failed == failed


@pytest.mark.parametrize("alpha", [0, 1, 5])
def test_an_alpha_that_is_none_is_refused(base, alpha):
    with pytest.raises(ResultsError, match=rf"alpha={alpha}.*must lie between 0 and 1"):
        run_check(base / "base", "--baseline", base / "base", "--alpha", alpha)


def test_runs_are_paired_by_settings_whatever_their_names(base):
    write_run(base / "base2", make_rows(0.3, seed=5), settings={"noise_std": 2.0})
    write_run(base / "new" / "x", make_rows(0.3, seed=6), settings={"noise_std": 2.0, "seed": 3})
    write_run(base / "new" / "y", make_rows(0.8, seed=7), settings={"seed": 3})
    both = base / "both"
    both.mkdir()
    for name in ("base", "base2"):
        (base / name).rename(both / name)
    done = run_check(base / "new", "--baseline", both)
    assert done.exit_code == 0, done.output
    assert "noise 0.6, N = 4" in done.stdout
    assert "noise 2, N = 4" in done.stdout


def test_what_was_not_run_fails_unless_that_is_said(base):
    write_run(base / "base" / "more", make_rows(0.5), settings={"noise_std": 2.0})
    write_run(base / "new", make_rows(0.8, seed=7), settings={"seed": 3})
    done = run_check(base / "new", "--baseline", base / "base")
    assert done.exit_code == 1
    assert "latent_tts_arith, noise 2, N = 4: not run, MISSING\n" in done.stdout
    done = run_check(base / "new", "--baseline", base / "base", "--partial")
    assert done.exit_code == 0
    assert "latent_tts_arith, noise 2, N = 4: not run\n" in done.stdout


def test_a_run_that_cannot_be_read_does_not_pass(base):
    write_run(base / "base" / "more", make_rows(0.5), settings={"noise_std": 2.0})
    write_run(base / "new" / "a", make_rows(0.8, seed=7), settings={"seed": 3})
    cut = log_of(write_run(base / "new" / "b", make_rows(0.5), settings={"noise_std": 2.0}))
    cut.write_text(cut.read_text()[:-9])
    done = run_check(base / "new", "--baseline", base / "base")
    assert done.exit_code == 1
    assert "was cut off" in done.stderr


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        ({"settings": {"noise_std": 0.3}}, "noise_std was 0.6 and is now 0.3"),
        ({"settings": {"max_new_tokens": 9}}, "max_new_tokens was not set and is now 9"),
        ({"settings": {"latent_do_sample": False}}, "latent_do_sample was True and is now False"),
        ({"metadata": {"tolerance": 1}}, "tolerance was '0' and is now '1'"),
        ({"n": 16}, "N was 4 and is now 16"),
        ({"n": 2}, "N was 4 and is now 2"),
        ({"reward_model": {"name": "a/rm"}}, "reward_model was not set and is now 'rm'"),
    ],
)
def test_other_settings_than_the_baseline_s_fail_unless_allowed(base, change, differs):
    n = change.pop("n", 4)
    write_run(base / "new", make_rows(0.8, n=n, seed=7), **change)
    done = run_check(base / "new", "--baseline", base / "base")
    assert done.exit_code == 1
    nearest = "The nearest is base (latent_tts_arith, noise 0.6, N = 4): "
    assert f"(new): NOT CHECKED: no run of the baseline has its settings. {nearest}" in done.stdout
    assert differs in done.stdout
    assert done.stdout.endswith("give --allow-different.\n\nFAILED\n")
    done = run_check(base / "new", "--baseline", base / "base", "--allow-different")
    assert done.exit_code == 0, done.output
    assert "note: settings differ: latent_tts_arith (new); " in done.stderr
    assert differs in done.stderr


def test_repeats_count_as_candidates(base):
    """64 candidates are not 16, though num_return_sequences is 16 on both sides."""
    rows = make_rows(0.8, n=8, seed=7)
    file = write_run(base / "new", rows, settings={"num_return_sequences": 4})
    edit(file, lambda content: content["configs"]["latent_tts_arith"].update(repeats=2))
    done = run_check(base / "new", "--baseline", base / "base")
    assert done.exit_code == 1
    assert ": N was 4 and is now 8. Run" in done.stdout


def test_the_nearest_run_differs_in_the_fewest_settings(base):
    write_run(
        base / "base" / "far", make_rows(0.8), settings={"noise_std": 2.0, "max_new_tokens": 9}
    )
    write_run(base / "base" / "near", make_rows(0.8), settings={"noise_std": 2.0})
    write_run(base / "new", make_rows(0.8, seed=7), settings={"noise_std": 2.0, "latent_length": 9})
    done = run_check(base / "new", "--baseline", base / "base")
    nearest = "The nearest is near (latent_tts_arith, noise 2, N = 4): latent_length was not set"
    assert nearest in done.stdout
    done = run_check(base / "new", "--baseline", base / "base", "--allow-different", "--partial")
    assert "; new against near)" in done.stdout
    assert done.exit_code == 0


def test_other_settings_do_not_excuse_a_drop(base):
    write_run(base / "new", make_rows(0.4, seed=7), settings={"noise_std": 0.7})
    done = run_check(base / "new", "--baseline", base / "base", "--allow-different")
    assert done.exit_code == 1
    assert "DROPPED" in done.stdout


def test_of_pools_of_unequal_n_the_first_candidates_count(base):
    """Candidates beyond the smaller N, all wrong here, must make no difference."""
    rows = make_rows(0.8)
    longer = [(g, Pool((*p.candidates, *make_pool(*["x"] * 12).candidates))) for g, p in rows]
    write_run(base / "new", longer)
    done = run_check(base / "new", "--baseline", base / "base", "--allow-different")
    assert "(60 questions; the first 4 of 16 candidates; new against base)" in done.stdout
    metrics = [line.split() for line in done.stdout.splitlines() if "@" in line]
    assert [name for name, *_ in metrics] == ["pass@1", "voting@4"]
    for _, now, before, difference, *rest in metrics:
        assert now == before
        assert difference == "0.0000"
        assert rest == ["0.0000", "1.0000", "ok"]
    reverse = run_check(base / "base", "--baseline", base / "new", "--allow-different")
    assert reverse.exit_code == 0
    assert "the first 4 of 16 candidates" in reverse.stdout


def test_a_task_that_the_baseline_does_not_have_is_named(base):
    write_run(base / "new", make_rows(0.8), task="other")
    done = run_check(base / "new", "--baseline", base / "base")
    assert done.exit_code == 1
    message = "NOT CHECKED: the baseline has no run of this task; it has latent_tts_arith."
    assert message in done.stdout


@pytest.mark.parametrize("side", ["folder", "baseline"])
def test_a_side_without_runs_is_refused(base, side):
    (base / "empty").mkdir()
    folders = {"folder": base / "base", "baseline": base / "base"} | {side: base / "empty"}
    with pytest.raises(ResultsError, match=f"The {side} has no run .*; there is nothing to check"):
        run_check(folders["folder"], "--baseline", folders["baseline"])


def test_other_questions_fail(base):
    write_run(base / "new", make_rows(0.8, questions=50), settings={"seed": 2})
    message = "the run and the baseline cannot be paired, 50 questions are the same: 0 are only in"
    done = run_check(base / "new", "--baseline", base / "base")
    assert done.exit_code == 1
    assert f"N = 4 (new against base): NOT CHECKED: {message}" in done.stdout


def test_every_run_of_the_folder_is_tested_not_the_newest_alone(base):
    early = "2029-01-01T00-00-00.000000"
    write_run(base / "new" / "bad", make_rows(0.1, seed=7), settings={"seed": 3}, date=early)
    write_run(base / "new" / "good", make_rows(0.8, seed=8), settings={"seed": 4})
    done = run_check(base / "new", "--baseline", base / "base")
    assert done.exit_code == 1
    assert done.stdout.count("against base)") == 2
    assert done.stdout.count("DROPPED") == 2  # pass@1 and the vote, of the early one


def test_a_run_that_the_baseline_does_not_know_fails_even_if_partial(base):
    write_run(base / "base" / "more", make_rows(0.5), settings={"noise_std": 2.0})
    write_run(base / "new" / "a", make_rows(0.8, seed=7), settings={"seed": 3})
    assert run_check(base / "new", "--baseline", base / "base", "--partial").exit_code == 0
    write_run(base / "new" / "b", make_rows(0.1), settings={"noise_std": 2.1})
    done = run_check(base / "new", "--baseline", base / "base", "--partial")
    assert done.exit_code == 1
    assert "noise 2.1, N = 4 (b): NOT CHECKED: no run of the baseline has its" in done.stdout


@pytest.mark.parametrize("side", ["base", "new"])
def test_a_torn_log_fails_even_if_partial(base, side):
    write_run(base / "new" / "a", make_rows(0.8, seed=7), settings={"seed": 3})
    torn = write_run(base / side / "torn", make_rows(0.5), settings={"noise_std": 2.0})
    log_of(torn).write_text("")
    done = run_check(base / "new", "--baseline", base / "base", "--partial")
    assert done.exit_code == 1
    assert f"{torn}: NOT READ, see above\n" in done.stdout
    assert "was cut off or added to: 0 lines, expected 60" in done.stderr


def test_what_is_no_run_of_this_project_does_not_fail(base):
    write_run(base / "new" / "a", make_rows(0.8, seed=7), settings={"seed": 3})
    log = log_of(write_run(base / "new" / "b", make_rows(0.8), task="gsm8k"))
    log.write_text(log.read_text().replace(r"{\"candidates\"", r"{\"texts\""))
    done = run_check(base / "new", "--baseline", base / "base")
    assert done.exit_code == 0, done.output
    assert "gsm8k is no task of this project" in done.stderr


@pytest.mark.parametrize("settings", [{"noise_std": 2.0}, STEADY])
def test_a_line_that_cannot_be_read_does_not_hide_the_other_runs(base, settings):
    write_run(base / "base" / "more", make_rows(0.5), settings=settings)
    write_run(base / "new" / "a", make_rows(0.1, seed=7), settings={"seed": 3})
    log = log_of(write_run(base / "new" / "b", make_rows(0.5), settings=settings))
    lines = log.read_text().splitlines()
    log.write_text("\n".join([*lines[:7], lines[7][:-9], *lines[8:], ""]))
    done = run_check(base / "new", "--baseline", base / "base")
    assert done.exit_code == 1
    assert f"(b against more): NOT CHECKED: {log}:8 is not JSON" in done.stdout
    assert "DROPPED" in done.stdout


def test_a_setting_that_does_nothing_may_be_new(base):
    write_run(base / "base" / "more", make_rows(0.5), settings={"noise_std": 2.0})
    write_run(base / "new", make_rows(0.8, seed=7), settings={"num_beams": None, "seed": 3})
    done = run_check(base / "new", "--baseline", base / "base", "--partial")
    assert done.exit_code == 0
    assert done.stderr == ""


@pytest.mark.parametrize("known", [{}, {"weights_sha256": "r"}])
def test_a_reward_model_is_known_by_its_weights_or_the_folder_s_last_name(base, known):
    places = ["/some/one/rm", "two/rm/"] if not known else ["/some/one/rm", "two/other"]
    for folder, place in zip(("old", "new"), places, strict=True):
        model = {"name": place, **known}
        write_run(base / folder, make_rows(0.8), reward_model=model)
    write_run(base / "old" / "more", make_rows(0.5), settings={"noise_std": 2.0})
    done = run_check(base / "new", "--baseline", base / "old", "--partial")
    assert (done.exit_code, done.stderr) == (0, "")


@pytest.mark.parametrize(("copies", "alpha"), [(1, 5e-5), (150, 0.01)])
def test_a_fall_is_caught_at_any_alpha_and_among_many_runs(copies, alpha):
    random = np.random.default_rng(0)
    old, new = (random.binomial(16, right, 200) / 16 for right in (0.52, 0.27))
    pair = pd.DataFrame({"pass@1": new}), pd.DataFrame({"pass@1": old})
    drops = find_drops({str(run): pair for run in range(copies)}, alpha=alpha)
    assert all(drop.failed for drop in drops)


@pytest.fixture
def steady(tmp_path):
    rows = [(str(p), make_pool(str(p if p % 2 else 500))) for p in range(12)]
    write_run(tmp_path / "base", rows, settings=STEADY)
    return tmp_path, rows


def test_the_same_answers_pass_in_deterministic_mode(steady):
    folder, rows = steady
    written = [(gold, make_pool(f"{pool.candidates[0].answer}.0")) for gold, pool in rows]
    write_run(folder / "new", written, settings=STEADY)  # an equal number is the same answer
    done = run_check(folder / "new", "--baseline", folder / "base")
    assert done.exit_code == 0
    assert "none 0, N = 1: 0 of 12 answers changed, 0 may: ok" in done.stdout


def test_a_changed_answer_fails_in_deterministic_mode_even_if_it_is_better(steady):
    folder, rows = steady
    rows[4] = ("4", make_pool("4"))
    write_run(folder / "new", rows, settings=STEADY)
    done = run_check(folder / "new", "--baseline", folder / "base")
    assert done.exit_code == 1
    assert "1 of 12 answers changed, 0 may: CHANGED" in done.stdout
    assert "question q4: now '4', was '500'" in done.stdout
    allowed = run_check(folder / "new", "--baseline", folder / "base", "--max-changed", 1)
    assert allowed.exit_code == 0


def test_many_changed_answers_are_counted_and_some_shown(steady):
    folder, rows = steady
    write_run(folder / "new", [(gold, make_pool(None)) for gold, _ in rows], settings=STEADY)
    done = run_check(folder / "new", "--baseline", folder / "base")
    assert "12 of 12 answers changed" in done.stdout
    assert done.stdout.count("  question") == 5
    assert "… and 7 more" in done.stdout


def test_speed_ratios_hold_their_bounds(tmp_path):
    file = tmp_path / "ratios.json"
    file.write_text(json.dumps({"one": {"ratio": 2.0, "bound": 1.5}}))
    done = run_check("--ratios", file)
    assert done.exit_code == 0
    assert done.stdout.split() == ["ratio", "bound", "one", "2.00", "1.50", "ok", "passed"]
    for ratio in (1.4, math.nan):
        file.write_text(json.dumps({"one": {"ratio": ratio, "bound": 1.5}}))
        done = run_check("--ratios", file)
        assert done.exit_code == 1
        assert "SLOWER" in done.stdout


def test_all_gates_report_together(base, tmp_path):
    file = tmp_path / "ratios.json"
    file.write_text(json.dumps({"one": {"ratio": 1.0, "bound": 1.5}}))
    done = run_check(base / "base", "--baseline", base / "base", "--ratios", file)
    assert done.exit_code == 1
    assert "pass@1" in done.stdout
    assert "SLOWER" in done.stdout


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"a": 1}', '{"a": {"ratio": 1}}'])
def test_a_file_without_ratios_is_refused(tmp_path, content):
    file = tmp_path / "ratios.json"
    file.write_text(content)
    with pytest.raises(ResultsError, match="holds no ratios"):
        run_check("--ratios", file)


def test_something_must_be_given_to_check(base):
    for arguments in ((), (base / "base",), ("--baseline", base / "base")):
        with pytest.raises(ResultsError, match="Give a run folder and its --baseline, or --ratios"):
            run_check(*arguments)


@pytest.mark.slow
def test_the_committed_runs_pass_against_themselves():
    done = run_check(BASELINES, "--baseline", BASELINES)
    assert done.exit_code == 0
    assert done.stdout.count("of 500 answers changed") == 2
    assert "DROPPED" not in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(("worse", "least", "most"), [(0.0, 0, 3), (0.15, 39, 40)])
def test_false_alarms_are_rare_and_worse_models_are_caught(worse, least, most):
    """A small gate_study.py: 40 checks of 100 questions a task; alpha 0.01 allows 0.4 alarms."""
    answers = load("noise")
    (rate,) = failure_rates(answers, repetitions=40, worse=worse, questions=100, alphas=(0.01,))
    assert least <= 40 * rate <= most


@pytest.mark.slow
@pytest.mark.parametrize("right", [1, 6])
def test_false_alarms_of_a_single_sample_against_64_keep_their_level(right):
    """Of 64 candidates 1 or 6 are right: 36% and 8.5% failed while all 64 counted, 5% may."""
    answers = np.broadcast_to(np.arange(64), (100, 64)).copy()
    answers[:, :right] = 0
    (rate,) = failure_rates({"a": answers}, repetitions=300, n=1, old_n=64, alphas=(0.05,))
    assert rate <= 0.08  # 5% and 2.4 standard errors


@pytest.mark.slow
@pytest.mark.parametrize(("n", "old_n"), [(1, 64), (16, 64), (64, 16), (16, 16)])
@pytest.mark.parametrize("sampler", ["noise", "dropout"])
def test_false_alarms_stay_below_alpha(sampler, n, old_n):
    """3 standard errors of 2,000 checks are 1.5 points."""
    (rate,) = failure_rates(
        load(sampler), repetitions=2000, n=n, old_n=old_n, questions=100, alphas=(0.05,)
    )
    assert rate <= 0.065
