"""`latent-tts judge` and `score`: a run used again, held against one that was made so."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from latent_tts.harness.command_line import default_store
from latent_tts.harness.commands.judge import judge
from latent_tts.harness.commands.score import score
from latent_tts.results import ResultsError, collect, read_log
from latent_tts.results.runs import judge as judged
from tests.harness.evaluation import BENCHMARKS
from tests.results.made import make_pool, pools_of, write_run
from tests.reward.checkpoints import random_reward_model

ROWS = [
    ("10", make_pool("10", "10.4", "12", "9.5")),
    ("7", make_pool("7", None, "8", "8")),
]


def one_run(folder):
    (found,), problems = collect([folder])
    assert not [problem for problem in problems if problem.lost]
    return found


def call(command, *arguments):
    return CliRunner().invoke(command, list(map(str, arguments)), catch_exceptions=False)


def test_another_tolerance_and_ks_are_those_of_a_run_with_them(tmp_path):
    write_run(tmp_path / "run", ROWS)
    write_run(tmp_path / "made", ROWS, metadata={"tolerance": "0.5"})
    done = call(judge, tmp_path / "run", "--output", tmp_path / "again", "--tolerance", "0.5")
    assert done.exit_code == 0
    again, made = one_run(tmp_path / "again"), one_run(tmp_path / "made")
    assert again.tolerance == "0.5"
    assert {k: v.value for k, v in again.metrics.items()} == {
        k: pytest.approx(v.value) for k, v in made.metrics.items()
    }
    assert judged(again).metrics.equals(judged(made).metrics[judged(again).metrics.columns])
    call(judge, tmp_path / "run", "--output", tmp_path / "k3", "--k", 3)
    assert "voting@3" in one_run(tmp_path / "k3").metrics
    with pytest.raises(ResultsError, match="tolerance"):
        call(judge, tmp_path / "run", "--output", tmp_path / "no", "--tolerance", "much")
    with pytest.raises(ResultsError, match="k = 5 cannot be used: the smallest pool"):
        call(judge, tmp_path / "run", "--output", tmp_path / "k5", "--k", 5)


def test_the_candidates_and_what_made_them_stay(tmp_path):
    write_run(tmp_path / "run", ROWS)
    call(judge, tmp_path / "run", "--output", tmp_path / "again", "--judge", "text")
    was, now = one_run(tmp_path / "run"), one_run(tmp_path / "again")
    assert now.judge == "text"
    assert [pool.judged_by("number") for pool in pools_of(now)] == pools_of(was)
    assert now.config.settings == was.config.settings
    assert [q.question.gold for q in read_log(now)] == [q.question.gold for q in read_log(was)]


def test_answers_are_read_from_the_texts_anew(tmp_path):
    pool = make_pool("5", "6")
    wrong = [type(c)(**{**{f: getattr(c, f) for f in c.__struct_fields__}, "answer": "0"})
             for c in pool.candidates]  # fmt: skip
    write_run(tmp_path / "run", [("5", type(pool)(tuple(wrong))), ("6", pool)])
    call(judge, tmp_path / "run", "--output", tmp_path / "again", "--read-answers")
    assert [c.answer for c in pools_of(one_run(tmp_path / "again"))[0].candidates] == ["5", "6"]


@pytest.fixture(scope="module")
def stored(checkpoints, tmp_path_factory):
    """Two reward models; a run scored by the first, with thoughts kept, and one by the second."""
    from latent_tts.harness.commands.eval import eval
    from latent_tts.models import AutoLatentModel, load_tokenizer

    folder = tmp_path_factory.mktemp("stored")
    backbone = AutoLatentModel.from_pretrained(checkpoints["coconut"])
    for seed in (1, 2):
        made = random_reward_model(backbone, seed)
        made.save_pretrained(folder / f"rm{seed}")
        load_tokenizer(str(checkpoints["coconut"])).save_pretrained(folder / f"rm{seed}")
        own = "store_thoughts=true" if seed == 1 else "store=none"
        given = f"pretrained={checkpoints['coconut']},num_return_sequences=4,noise_std=1.0"
        given += f",latent_do_sample_by=noise,reward_model={folder / f'rm{seed}'},{own}"
        given += ",latent_length=3,any_reward_model=true"
        call(
            eval,
            *("--tasks", "latent_tts_arith", "--limit", 4, "--log_samples", "--model_args", given),
            *("--output_path", folder / f"run{seed}", "--include_path", BENCHMARKS),
        )
    return folder


@pytest.mark.slow
def test_a_model_that_comes_after_the_command_keeps_nothing_beside_its_output(stored):
    assert default_store() is None


@pytest.mark.slow
def test_scored_from_stored_thoughts_is_sampled_anew_with_that_reward_model(stored, tmp_path):
    done = call(
        *(score, stored / "run1", "--reward-model", f"second={stored / 'rm2'}"),
        *("--output", tmp_path, "--any-reward-model"),
    )
    assert done.exit_code == 0
    again, anew = one_run(tmp_path / "second"), one_run(stored / "run2")
    assert again.config.reward_sha256 == anew.config.reward_sha256
    for ours, theirs in zip(pools_of(again), pools_of(anew), strict=True):
        for one, two in zip(ours.candidates, theirs.candidates, strict=True):
            assert (one.text, one.sample) == (two.text, two.sample)
            assert one.reward == pytest.approx(two.reward, abs=2e-2)  # thoughts in half precision
    assert set(again.metrics) == set(anew.metrics)


@pytest.mark.slow
def test_what_the_store_lacks_is_named_and_nothing_is_sampled(stored, tmp_path):
    with pytest.raises(ResultsError, match="has thoughts or rewards of 0 of the 4 samples"):
        call(
            *(score, stored / "run2", "--reward-model", stored / "rm1"),
            *("--output", tmp_path / "out", "--any-reward-model"),
        )
    assert not list(tmp_path.rglob("results_*.json"))


def test_the_written_file_is_json_of_lm_evals_shape(tmp_path):
    write_run(tmp_path / "run", ROWS)
    done = call(judge, tmp_path / "run", "--output", tmp_path / "again")
    content = json.loads(Path(done.output.strip()).read_text())
    assert {"results", "configs", "versions", "n-samples", "config"} <= content.keys()
