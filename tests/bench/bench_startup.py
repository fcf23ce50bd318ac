"""What does not need torch must not wait for it."""

import os
import subprocess
import sys


def python(*arguments, **environment):
    subprocess.run(
        [sys.executable, *arguments],
        check=True,
        capture_output=True,
        env={**os.environ, **environment},
    )


def import_torch():
    python("-c", "import torch")


def test_help_before_torch(versus):
    versus(
        bound=5.0, slow=import_torch, fast=lambda: python("-m", "latent_tts.harness.cli", "--help")
    )


def test_tasks_before_torch(versus):
    versus(bound=3.0, slow=import_torch, fast=lambda: python("-c", "import latent_tts.tasks"))


def test_backport_costs_nothing(versus):
    """The interpreter without the back-port against the one with it: 1, or a little less."""
    versus(
        bound=0.8,
        slow=lambda: python("-c", "pass", LATENT_TTS_NO_BACKPORT="1"),
        fast=lambda: python("-c", "pass"),
        rounds=20,
    )
