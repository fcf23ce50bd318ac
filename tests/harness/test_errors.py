"""What a user sees of a mistake: one line where lm-eval's command is the program."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from latent_tts.errors import LatentTTSError
from latent_tts.harness.lm import LatentLM
from latent_tts.models import ModelError
from latent_tts.tasks import Pool, TaskError
from tests.checkpoints import edit_config, edit_weights, write_coconut
from tests.harness.evaluation import (
    BENCHMARKS,
    evaluate,
    make_request,
    make_rows,
    pools,
    write_questions,
)

SCRIPT = str(Path(sys.executable).with_name("lm_eval"))


@pytest.fixture
def run_lm_eval(tmp_path, quick_lm_eval):
    """Run the real command in a process of its own."""

    def run(*arguments, command=(sys.executable, "-m", "lm_eval")):
        return subprocess.run(
            [*command, "run", "--model=latent_tts", f"--include_path={BENCHMARKS}", *arguments],
            env={**os.environ, **quick_lm_eval},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run


def check_one_line(done, message):
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert message in errors[0]
    assert done.stderr.endswith(f"{errors[0]}\n")


@pytest.mark.slow
def test_a_wrong_setting_is_one_line(run_lm_eval, checkpoints, tmp_path):
    done = run_lm_eval(
        *("--model_args", f"pretrained={checkpoints['coconut']},dropout_p=1.5"),
        *("--tasks", "latent_tts_arith", "--output_path", "out"),
        command=[SCRIPT],
    )
    check_one_line(done, "dropout_p=1.5; allowed is a number at least 0 and below 1.")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_wrong_question_is_one_line(run_lm_eval, checkpoints, tmp_path):
    write_questions(tmp_path, [*make_rows(2), {"id": 2, "question": "How many?"}])
    done = run_lm_eval(
        *("--model_args", f"pretrained={checkpoints['coconut']}", "--tasks", "latent_tts_gsm8k"),
        *("--metadata", json.dumps({"data_dir": str(tmp_path)}), "--output_path", "out"),
    )
    check_one_line(done, "gsm8k_test.jsonl, line 3: Object missing required field `answer`")
    assert not (tmp_path / "out").exists()


PROGRAM = """
import sys
from latent_tts.errors import LatentTTSError
from latent_tts.harness.errors import hide_traceback

class WrongSettingError(LatentTTSError):
    pass

hide_traceback()
raise {error}("half is too much")
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "error", "hidden"),
    [
        ("lm_eval", "WrongSettingError", True),
        ("lm-eval", "WrongSettingError", True),
        ("latent-tts", "WrongSettingError", True),
        ("lm_eval", "ValueError", False),
        ("mine.py", "WrongSettingError", False),
    ],
)
def test_only_users_mistakes_in_our_programs_lose_their_traceback(
    tmp_path, run_python, program, error, hidden
):
    (tmp_path / program).write_text(PROGRAM.format(error=error))
    done = run_python(program, check=False)
    assert done.returncode == 1
    assert done.stderr.endswith(f"{'error' if hidden else error}: half is too much\n")
    assert ("Traceback" in done.stderr) is not hidden
    if hidden:
        assert done.stderr.count("\n") == 1


def test_a_hook_that_is_there_already_is_kept(monkeypatch):
    from latent_tts.harness.errors import hide_traceback

    def hook(kind, error, traceback):
        raise NotImplementedError

    monkeypatch.setattr(sys, "excepthook", hook)
    monkeypatch.setattr(sys, "argv", ["lm_eval"])
    hide_traceback()
    assert sys.excepthook is hook


def test_elsewhere_nothing_changes(checkpoints, data):
    with pytest.raises(ModelError, match="noise_std=-1"):
        evaluate(checkpoints["coconut"], data, model_args={"noise_std": -1})
    assert sys.excepthook is sys.__excepthook__


@pytest.fixture
def broken(tmp_path):
    return write_coconut(tmp_path / "broken")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite(broken, data, value):
    name = "transformer.h.0.mlp.c_fc.bias"
    edit_weights(broken, lambda tensors: tensors[name].fill_(value))
    with pytest.raises(ModelError, match=rf"broken' holds weights that are no finite .*: {name}"):
        evaluate(broken, data)


@pytest.fixture
def long_questions(tmp_path):
    """Three questions, of which the second is longer than tiny checkpoints have positions."""
    rows = make_rows(3)
    rows[1] |= {"id": "long one", "question": "How many pens are there? " * 20}
    return write_questions(tmp_path, rows)


def test_a_prompt_that_does_not_fit_is_named_before_anything_is_sampled(
    checkpoints, long_questions, monkeypatch
):
    def sampled(*args, **kwargs):
        raise AssertionError("candidates were sampled")

    monkeypatch.setattr("latent_tts.models.sample", sampled)
    tokens = 20 * 25 - 1 + 2  # a byte each, the line break and the start marker
    message = (
        rf"question 'long one' of latent_tts_gsm8k \({tokens} tokens\)\. .* has 192 positions, and "
        r"6 thoughts, .* leave 184 of them.*on_long_prompt=skip"
    )
    with pytest.raises(ModelError, match=message):
        evaluate(checkpoints["coconut"], long_questions)


@pytest.mark.slow
@pytest.mark.parametrize("n", [1, 3])
def test_a_prompt_that_does_not_fit_counts_as_wrong_where_asked(
    checkpoints, long_questions, n, caplog, tmp_path
):
    settings = {"num_return_sequences": n, "max_new_tokens": 20}
    results = evaluate(
        checkpoints["coconut"], long_questions, model_args={**settings, "on_long_prompt": "skip"}
    )
    first, skipped, last = pools(results)
    assert [len(pool.candidates) for pool in (first, skipped, last)] == [n] * 3
    assert {candidate.answer for candidate in skipped.candidates} == {None}
    assert skipped.question == "long one"
    assert results["n-samples"]["latent_tts_gsm8k"]["effective"] == 3
    ours = results["config"]["latent_tts"]["tasks"]["latent_tts_gsm8k"]
    assert ours["long_prompts_skipped"] == 1
    assert ours["throughput"]["samples"] == 2 * n
    assert "latent_tts_gsm8k: 1 of 3 prompts are too long and count as wrong" in caplog.text
    rows = make_rows(3)
    fitting = write_questions(tmp_path / "fitting", [rows[0], rows[2]])
    alone = evaluate(checkpoints["coconut"], fitting, model_args=settings)
    assert [pool.candidates for pool in pools(alone)] == [first.candidates, last.candidates]


@pytest.mark.parametrize("value", ["maybe", True, None, ["skip"]])
def test_what_to_do_with_long_prompts_is_one_of_two(checkpoints, long_questions, value):
    with pytest.raises(ModelError, match=r"on_long_prompt=.*Allowed are: error, skip"):
        evaluate(checkpoints["coconut"], long_questions, model_args={"on_long_prompt": value})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architectures": ["GPT2LMHeadModel"]}, r"architectures \['GPT2LMHeadModel'\], none of"),
        ({"model_type": "gpt3"}, r"The config of the checkpoint .*broken.* cannot be loaded"),
    ],
)
def test_checkpoints_of_another_kind(broken, data, change, message):
    edit_config(broken, **change)
    with pytest.raises(ModelError, match=message):
        evaluate(broken, data)


def test_a_checkpoint_without_latent_tokens(broken, data):
    file = broken / "tokenizer.json"
    file.write_text(file.read_text().replace("<|end-latent|>", "<|some-token|>"))
    with pytest.raises(ModelError, match=r"has no latent tokens: '<\|end-latent\|>' is no single"):
        evaluate(broken, data)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_checkpoint_that_lacks_a_file(broken, data, name):
    (broken / name).unlink()
    with pytest.raises(ModelError, match="broken"):
        evaluate(broken, data)


@pytest.mark.parametrize("content", ['{"latent_length": 4', '{"max_new_tokens": -1}'])
def test_generation_settings_that_cannot_be_read(broken, data, content):
    (broken / "generation_config.json").write_text(content)
    with pytest.raises(
        ModelError, match=r"The generation_config.json of .*broken.* cannot be used"
    ):
        evaluate(broken, data)


def test_weights_that_are_missing_are_not_made_up(broken, data):
    edit_weights(broken, lambda tensors: tensors.pop("transformer.h.1.mlp.c_fc.weight"))
    with pytest.raises(ModelError, match=r"lacks weights .*: transformer.h.1.mlp.c_fc.weight. It"):
        evaluate(broken, data)


@pytest.mark.slow
def test_weights_that_nobody_reads(broken, data):
    edit_weights(broken, lambda tensors: tensors.update({"gate.weight": torch.ones(2)}))
    with pytest.raises(ModelError, match=r"holds weights that nobody reads: gate\.weight\. Its"):
        evaluate(broken, data)
    evaluate(broken, data, model_args={"ignore_weights": "gate.*", "max_new_tokens": 8})


def test_weights_of_another_shape_are_refused(broken, data):
    edit_config(broken, n_embd=96)
    with pytest.raises(
        ModelError, match=r"lacks weights .* of shape \(.*\) and \d+ more\. Its conf"
    ):
        evaluate(broken, data)


def test_weights_that_were_cut_off(broken, data):
    file = broken / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(ModelError, match=r"broken.* cannot be read as safetensors"):
        evaluate(broken, data)


def test_a_missing_folder_of_questions(checkpoints, tmp_path):
    with pytest.raises(TaskError, match=r"cannot read .*nowhere/gsm8k_test.jsonl"):
        evaluate(checkpoints["coconut"], tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "holds no questions"),
        ('{"id": 1, "question": "How', "line 1: not JSON"),
        ('{"id": 1, "question": "How many?", "answer": "some"}', "line 1: answer 'some' is not a"),
    ],
)
def test_questions_that_cannot_be_used(checkpoints, tmp_path, line, message):
    (tmp_path / "gsm8k_test.jsonl").write_text(line)
    with pytest.raises(TaskError, match=rf"gsm8k_test.jsonl.*{message}"):
        evaluate(checkpoints["coconut"], tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"device": 3}, "device=3 is no device of torch"),
        ({"device": 1.5}, "device=1.5 is no device of torch"),
        ({"device_map": 3}, "device_map=3: a model runs on one device"),
        ({"dtype": {"a": 1}}, r"dtype=\{'a': 1\}; allowed are auto"),
        ({"dtype": 16}, "dtype=16; allowed are auto"),
        ({"aggregation": ["voting"]}, r"no aggregation is called \['voting'\]"),
        ({"aggregation": {"voting": 1}}, "no aggregation is called"),
        ({"pretrained": "9" * 400}, "No checkpoint at '999"),
        ({"noise_std": 10**400}, "noise_std=1000.*allowed is a number"),
    ],
)
def test_settings_of_a_wrong_kind_are_named(settings, message):
    with pytest.raises(LatentTTSError, match=message):
        LatentLM(**settings)


def test_whole_numbers_of_any_size_are_numbers(checkpoints):
    lm = LatentLM(str(checkpoints["coconut"]), latent_do_sample=False, do_sample=True)
    settings = {"return_pool": True, "max_new_tokens": 12, "temperature": 10**31}
    (text,) = lm.generate_until([make_request("Four?", settings)], disable_tqdm=True)
    assert Pool.from_json(text).candidates
    lm = LatentLM(str(checkpoints["coconut"]), latent_do_sample_by="noise", noise_std=10**31)
    with pytest.raises(ModelError, match="NaN or infinite: the sampler is too strong"):
        lm.generate_until([make_request("Four?", {"return_pool": True})], disable_tqdm=True)
