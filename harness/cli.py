"""The `latent-tts` command; each subcommand's module is imported only when it is asked for."""

import importlib
import importlib.util
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

import click

from ..errors import LatentTTSError

DEFAULTS = {"model": "latent_tts", "tasks": ["latent_tts_arith"], "batch_size": "auto"}

# Subcommands of other modules: name -> (module:command, the sentence that --help shows).
COMMANDS = {
    "annotate": (
        "latent_tts.harness.annotate:annotate",
        "Label thoughts by rollouts, to train a reward model on.",
    ),
    "bench": (
        "latent_tts.harness.commands.bench:bench",
        "Measure samples per second, and what the engine gains.",
    ),
    "check": (
        "latent_tts.harness.commands.check:check",
        "Fail if a run is worse than its baseline.",
    ),
    "compare": (
        "latent_tts.harness.commands.compare:compare",
        "Compare runs and strategies on the same questions.",
    ),
    "curve": (
        "latent_tts.harness.commands.curve:curve",
        "Draw coverage and voting accuracy against N.",
    ),
    "leaderboard": (
        "latent_tts.harness.commands.leaderboard:leaderboard",
        "Write a web page, a table and pictures of all runs.",
    ),
    "pool": ("latent_tts.harness.commands.pool:pool", "Read candidates made by other programs."),
    "reward-table": (
        "latent_tts.harness.reward_table:reward_table",
        "Compare reward models with the vote on identical pools.",
    ),
    "sweep": ("latent_tts.harness.sweep:sweep", "Try sampler strengths on validation problems."),
    "train": (
        "latent_tts.harness.train:train",
        "Train a backbone by a shipped checkpoint's recipe.",
    ),
    "train-rm": (
        "latent_tts.harness.train_rm:train_rm",
        "Train a reward model on labelled thoughts.",
    ),
}

# Everything after the name of a subcommand, --help included, belongs to another parser.
PASS_THROUGH = {"ignore_unknown_options": True, "help_option_names": []}


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="latent-tts", prog_name="latent-tts")
def cli() -> None:
    """Benchmark parallel test-time scaling of latent reasoning models."""


@cli.command("eval", context_settings=PASS_THROUGH)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def evaluate(arguments: tuple[str, ...]) -> None:
    """Run lm-eval; takes all flags of `lm_eval run`.

    Alone it runs `--model latent_tts --tasks latent_tts_arith`. This project's tasks are always
    found, beside those of your own --include_path.
    """
    run_lm_eval(arguments)


@cli.command("tasks")
def print_task_folder() -> None:
    """Print the folder of the tasks, for lm_eval's --include_path."""
    click.echo(task_folder())


def task_folder() -> Path:
    """Return the installed folder of task YAMLs, without importing the tasks."""
    spec = importlib.util.find_spec("latent_tts.tasks")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("latent_tts.tasks is not installed; reinstall latent-tts")
    return Path(spec.submodule_search_locations[0], "benchmarks")


def run_lm_eval(arguments: Sequence[str]) -> None:
    """Do what `lm_eval run` does, with this project's defaults filled in.

    Args:
        arguments: Flags of `lm_eval run`.
    """
    from .lm_eval_seam import run_command

    # With our path in front, a bare `latent-tts eval` runs instead of printing help, and a path
    # given by the user, being later, takes its place.
    ours = str(task_folder())
    command = ["run", "--include_path", ours, *arguments]
    run_command(command, lambda options: fill_defaults(options, ours))


def fill_defaults(options: Namespace, ours: str) -> Namespace:
    """Fill in what neither the command line nor a --config file says.

    The flag takes one path; lm-eval's TaskManager takes several, of which later ones win.

    Args:
        options: lm-eval's parsed flags; changed in place.
        ours: This project's task folder, which `options` holds where the user gave none.

    Returns:
        The same options.
    """
    given = {}
    if options.config:
        from .lm_eval_seam import read_config

        given = read_config(options.config)
    for name, value in DEFAULTS.items():
        if not getattr(options, name, None) and name not in given:
            setattr(options, name, value)
    theirs = options.include_path if options.include_path != ours else given.get("include_path")
    paths = theirs if isinstance(theirs, list) else [theirs] if theirs else []
    options.include_path = [ours, *paths]
    return options


def deferred(name: str, target: str, sentence: str) -> click.Command:
    """Return a command that imports the real one when it is called.

    Args:
        name: The subcommand's name.
        target: `module:command` of the click command that does the work.
        sentence: Its line in --help.
    """

    def call(arguments: tuple[str, ...]) -> None:
        module, _, attribute = target.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        command.main(args=list(arguments), prog_name=f"latent-tts {name}")

    return click.Command(
        name,
        callback=call,
        params=[click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED)],
        help=sentence,
        context_settings=PASS_THROUGH,
        add_help_option=False,
    )


for _name, (_target, _sentence) in COMMANDS.items():
    cli.add_command(deferred(_name, _target, _sentence))


def main() -> None:
    """Run the command line; a mistake of the user's is one line and exit code 2, no traceback."""
    try:
        cli(prog_name="latent-tts")
    except LatentTTSError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)


if __name__ == "__main__":  # `accelerate launch -m latent_tts.harness.cli eval`
    main()
