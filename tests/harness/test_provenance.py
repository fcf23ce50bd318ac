"""What results files record of how a run was started."""

import sys

import pytest

from latent_tts.harness.provenance import typed_command


@pytest.mark.parametrize(
    ("program", "name"),
    [
        ("/usr/bin/lm_eval", "lm_eval"),
        ("/usr/local/bin/lm-eval", "lm-eval"),
        ("/usr/local/bin/latent-tts", "latent-tts"),
        ("/usr/lib/python3/site-packages/lm_eval/__main__.py", "lm_eval"),
    ],
)
def test_the_command_is_recorded_as_typed_without_folders_of_the_program(
    monkeypatch, program, name
):
    monkeypatch.setattr(sys, "argv", [program, "--limit", "20", "--wandb_args", "token=abc,x=1"])
    assert typed_command() == [name, "--limit", "20", "--wandb_args", "token=…,x=1"]


@pytest.mark.parametrize("program", ["", "-c", "/usr/bin/pytest", "ipykernel_launcher.py"])
def test_python_code_has_no_command(monkeypatch, program):
    monkeypatch.setattr(sys, "argv", [program, "-x"])
    assert typed_command() is None
