"""The `latent-tts` command, without running an evaluation."""

import importlib
import sys
from argparse import Namespace
from functools import partial
from pathlib import Path

import click
import lm_eval._cli
import lm_eval.tasks
import pytest

from latent_tts.errors import LatentTTSError
from latent_tts.harness import cli
from latent_tts.harness.benchmarks import task_folder
from latent_tts.harness.commands import eval as eval_command


@pytest.fixture
def parsed(monkeypatch):
    """Run `latent-tts eval` up to the point where lm-eval has its options."""

    def run(*arguments):
        seen = []
        monkeypatch.setattr(
            lm_eval._cli.HarnessCLI, "execute", lambda self, args: seen.append(args)
        )
        monkeypatch.setattr(sys, "argv", ["latent-tts", "eval", *arguments])
        with pytest.raises(SystemExit, match="0"):
            cli.main()
        return seen[0]

    return run


def test_eval_alone_is_the_main_job(parsed):
    options = parsed("--limit", "3")
    assert (options.model, options.tasks) == ("latent_tts", ["latent_tts_arith"])
    assert options.batch_size == "auto"
    assert options.include_path == [str(task_folder())]
    assert options.limit == 3


def test_eval_without_any_flag_does_not_print_help(parsed):
    assert parsed().tasks == ["latent_tts_arith"]


def test_what_the_user_gives_wins(parsed, tmp_path):
    options = parsed("-M", "dummy", "-t", "a,b", "c", f"--include_path={tmp_path}", "-L", "1")
    assert (options.model, options.tasks, options.limit) == ("dummy", ["a", "b", "c"], 1)
    # Of two paths with a task of the same name, lm-eval takes the later one.
    assert options.include_path == [str(task_folder()), str(tmp_path)]


@pytest.mark.parametrize("written", ["one", ["one", "two"]])
def test_a_config_file_is_not_overridden_by_defaults(parsed, tmp_path, written):
    config = tmp_path / "run.yaml"
    config.write_text(f"model: dummy\ninclude_path: {written}\n")
    options = parsed("--config", str(config))
    assert options.model is None  # lm-eval takes the file's
    assert options.tasks == ["latent_tts_arith"]
    expected = written if isinstance(written, list) else [written]
    assert options.include_path == [str(task_folder()), *expected]


def test_lm_eval_finds_the_tasks_of_both_paths(tmp_path):
    from lm_eval.tasks import TaskManager

    (tmp_path / "mine.yaml").write_text("task: mine\n")
    options = eval_command.fill_defaults(
        Namespace(config=None, model=None, tasks=None, include_path=str(tmp_path))
    )
    manager = TaskManager(include_path=options.include_path, include_defaults=False)
    assert {"mine", "latent_tts_arith"} <= set(manager.all_tasks)


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_eval_help_has_lm_evals_flags_and_this_projects_settings(monkeypatch, capsys, flag):
    monkeypatch.setattr(sys, "argv", ["latent-tts", "eval", flag])
    with pytest.raises(SystemExit, match="0"):
        cli.main()
    shown = " ".join(capsys.readouterr().out.split())
    assert "usage: latent-tts eval" in shown
    assert "--gen_kwargs" in shown
    assert "Model name (default: latent_tts)" in shown
    assert "(default: latent_tts_arith)" in shown
    assert "(default: hf)" not in shown
    assert "pretrained a folder, a hub id" in shown
    assert "(default: tiny-coconut)" in shown
    for name in ("noise_std", "dropout_mask", "num_return_sequences", "on_long_prompt", "seed"):
        assert f" {name} " in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tasks", "latent_tts_arit"], "Tasks not found: latent_tts_arit. Did you mean latent"),
        (["--log_samples"], "Specify --output_path"),
        (["--config", "nowhere.yaml"], "Config file not found"),
    ],
)
def test_what_lm_eval_refuses_is_one_line(monkeypatch, capsys, arguments, message):
    manager = partial(lm_eval.tasks.TaskManager, include_defaults=False)
    monkeypatch.setattr(lm_eval.tasks, "TaskManager", manager)
    monkeypatch.setattr(sys, "argv", ["latent-tts", "eval", *arguments])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert "Traceback" not in "".join(lines)
    assert lines[-1].startswith(f"error: {message}")


@pytest.mark.parametrize("name", ["annotate", "sweep", "train", "reward_table", "train_rm"])
def test_every_option_says_what_it_is(name):
    module = importlib.import_module(f"latent_tts.harness.commands.{name}")
    options = [one for one in getattr(module, name).params if isinstance(one, click.Option)]
    assert options
    assert [one.name for one in options if not one.help] == []


@pytest.mark.slow
def test_tasks_prints_an_existing_folder(run_python):
    folder = Path(run_python("-m", "latent_tts.harness.cli", "tasks").stdout.strip())
    assert list(folder.glob("*.yaml"))


@pytest.mark.slow
@pytest.mark.parametrize("argument", ["--help", "--version", "tasks"])
def test_what_needs_no_model_imports_none(run_python, argument):
    code = (
        "import sys, atexit; from latent_tts.harness import cli;"
        "sys.argv = ['latent-tts', sys.argv[1]];"
        "atexit.register(lambda: print({'torch', 'lm_eval', 'pandas'} & set(sys.modules)));"
        "cli.main()"
    )
    assert run_python("-c", code, argument).stdout.splitlines()[-1] == "set()"


@pytest.mark.parametrize("name", cli.COMMANDS)
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_every_subcommand_is_listed_and_has_help(monkeypatch, capsys, name, flag):
    shown = click.Context(cli.cli).command.get_help(click.Context(cli.cli))
    assert name in shown
    assert cli.COMMANDS[name].split()[0] in shown
    monkeypatch.setattr(sys, "argv", ["latent-tts", name, flag])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert not stop.value.code
    assert "usage:" in capsys.readouterr().out.lower()


@click.group()
def example():
    """An example."""


@example.command()
@click.option("--size", type=int, required=True)
def grow(size):
    """Grow."""
    click.echo(f"grown to {size}")


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["grow", "--size", "3"], 0, "grown to 3"),
        (["grow", "--help"], 0, "Usage: latent-tts example grow"),
        (["grow", "--size", "x"], 2, "'x' is not a valid integer"),
        (["shrink"], 2, "No such command 'shrink'"),
    ],
)
def test_a_deferred_command_behaves_like_the_real_one(monkeypatch, capsys, arguments, code, text):
    monkeypatch.setitem(sys.modules, "outside.example", sys.modules[__name__])
    monkeypatch.setattr(cli.cli, "commands", dict(cli.cli.commands))
    cli.deferred("example", "An example.", package="outside")
    monkeypatch.setattr(sys, "argv", ["latent-tts", "example", *arguments])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert (stop.value.code or 0) == code
    assert text in "".join(capsys.readouterr())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pool", "compare", "leaderboard", "curve", "export"])
def test_commands_that_only_read_and_write_runs_load_no_torch(run_python, name):
    code = f"import sys, latent_tts.harness.commands.{name}; print('torch' in sys.modules)"
    assert run_python("-c", code).stdout.split()[-1] == "False"


class WrongSettingError(LatentTTSError):
    pass


def fail_with(monkeypatch, error):
    def fail(arguments, fill, settings):
        raise error

    monkeypatch.setattr(eval_command, "run_command", fail)
    monkeypatch.setattr(sys, "argv", ["latent-tts", "eval"])


def test_a_users_mistake_is_one_line(monkeypatch, capsys):
    fail_with(monkeypatch, WrongSettingError("num_beams=0 must be at least 1"))
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    assert capsys.readouterr().err == "error: num_beams=0 must be at least 1\n"


def test_a_programming_error_keeps_its_traceback(monkeypatch):
    fail_with(monkeypatch, ValueError("unexpected"))
    with pytest.raises(ValueError, match="unexpected"):
        cli.main()
