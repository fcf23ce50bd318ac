"""What the tests of lm-eval's side share: questions, talkative checkpoints, a quick lm-eval."""

import json
import os
import shutil
import sys
from functools import partial
from importlib.metadata import distribution
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Path:
    """A folder with nine questions of mixed lengths for each of the real tasks."""
    from tests.harness.evaluation import make_rows, write_questions

    return write_questions(tmp_path_factory.mktemp("data"), make_rows(9))


@pytest.fixture(scope="session")
def talkative(tmp_path_factory) -> dict[str, Path]:
    """Checkpoints that state answers, with positions enough for real questions a token a byte.

    The tokens of bytes that no English question holds are spelled as answers: `Answer:177`.
    """
    from tests import checkpoints as tiny

    used = "ĠĊâĢĻ"  # spaces, line breaks and apostrophes, byte by byte
    folder = tmp_path_factory.mktemp("talkative")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny, "POSITIONS", 1024)
        for kind, mark in (("coconut", "#"), ("codi", "x"), ("colar", "Answer:")):
            file = tiny.WRITERS[kind](folder / kind) / "tokenizer.json"
            tokenizer = json.loads(file.read_text())
            tokenizer["model"]["vocab"] = {
                f"{mark}{index}" if token >= "¡" and token not in used else token: index
                for token, index in tokenizer["model"]["vocab"].items()
            }
            file.write_text(json.dumps(tokenizer))
    return {kind: folder / kind for kind in tiny.WRITERS}


@pytest.fixture(scope="session", autouse=True)
def no_report_of_the_machine():
    """Spare each evaluation the second in which lm-eval asks pip, lscpu and others."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("torch.utils.collect_env.get_pretty_env_info", lambda: "")
        yield


@pytest.fixture(autouse=True)
def no_data_folder(monkeypatch):
    monkeypatch.delenv("LATENT_TTS_DATA", raising=False)


@pytest.fixture(scope="session")
def quick_lm_eval(tmp_path_factory) -> dict[str, str]:
    """Environment variables under which processes run a copy of lm-eval without its own tasks.

    Reading its thousands of YAMLs takes lm-eval ten seconds at every start.
    """
    original = Path(str(distribution("lm_eval").locate_file("lm_eval")))
    folder = tmp_path_factory.mktemp("lm_eval")

    def skipped(at, names):
        in_tasks = Path(at) == original / "tasks"
        return [n for n in names if n == "__pycache__" or (in_tasks and Path(at, n).is_dir())]

    shutil.copytree(original, folder / "lm_eval", ignore=skipped)
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    return {"PYTHONPATH": path}


@pytest.fixture
def run_command(monkeypatch, tmp_path, checkpoints, data):
    """Run `lm_eval` in this process; returns the folder of its output."""
    import lm_eval.tasks

    from tests.harness.evaluation import BENCHMARKS

    def run(*arguments, kind="coconut", model_args=(), pretrained=None):
        from lm_eval._cli import HarnessCLI

        manager = partial(lm_eval.tasks.TaskManager, include_defaults=False)
        monkeypatch.setattr(lm_eval.tasks, "TaskManager", manager)
        command = ["lm_eval", "run", "--model", "latent_tts", "--include_path", str(BENCHMARKS)]
        command += ["--model_args", f"pretrained={pretrained or checkpoints[kind]}", *model_args]
        command += [
            "--metadata",
            json.dumps({"data_dir": str(data)}),
            "--output_path",
            str(tmp_path / "out"),
        ]
        monkeypatch.setattr(sys, "argv", [*command, *arguments])
        monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)  # undone with the rest
        parser = HarnessCLI()
        parser.execute(parser.parse_args())
        return tmp_path / "out"

    return run
