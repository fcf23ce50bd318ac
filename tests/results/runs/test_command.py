"""Commands of runs, typed or rebuilt, and what is left out of them."""

import shlex

import pytest

from latent_tts.results import collect
from latent_tts.results.runs.command import rebuilt_command, shell_line
from latent_tts.results.runs.lm_eval_fields import Config
from tests.results.made import edit
from tests.results.reports.board.random_runs import random_run


def test_a_command_reads_back_as_it_was_typed():
    typed = ["lm_eval", "--model_args", "pretrained=my model,max_new_tokens=128", "--tasks", "a'b"]
    assert shlex.split(shell_line(typed)) == typed


@pytest.mark.parametrize(
    "secret",
    [
        "hub_results_org=x,token=SECRET,public=1",
        '{"hf_token": "SECRET"}',
        "--api_key=SECRET",
        "API-KEY: SECRET".replace("-", "_"),
        "password=SECRET",
        "hf_SECRETSECRETSECRETSECRET",
    ],
)
def test_no_token_is_shown(secret):
    line = shell_line(["lm_eval", "--flag", secret])
    assert "SECRET" not in line
    assert "…" in line


def test_a_command_is_rebuilt_from_what_lm_eval_records():
    config = Config(
        model="latent_tts",
        model_args={"pretrained": "me/coconut", "noise_std": 0.3},
        gen_kwargs={"num_return_sequences": 8},
        limit=20.0,
    )
    assert rebuilt_command(config, "latent_tts_gsm8k") == (
        "lm_eval --model latent_tts --model_args pretrained=me/coconut,noise_std=0.3 "
        "--tasks latent_tts_gsm8k --gen_kwargs num_return_sequences=8 --limit 20"
    )
    bare = Config(model="latent_tts", model_args="", gen_kwargs={})
    assert rebuilt_command(bare, "a_task") == "lm_eval --model latent_tts --tasks a_task"
    assert rebuilt_command(Config(model="latent_tts"), "a_task") is None


def test_a_run_knows_its_command_prompt_and_how_many_questions_its_task_has(tmp_path):
    results = random_run(tmp_path, config={"of": 1319})
    command = ["latent-tts", "eval", "--limit", "12"]
    edit(results, lambda content: content["config"]["latent_tts"].update(command=command))
    (run,), problems = collect([tmp_path])
    assert not problems
    assert run.config.command == "latent-tts eval --limit 12"
    assert run.config.prompt_format == "{question}"
    assert (run.questions, run.task_questions, run.limited) == (12, 1319, True)
