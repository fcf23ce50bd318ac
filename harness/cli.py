"""The `latent-tts` command; each subcommand's module is imported only when it is asked for."""

import importlib
import sys

import click

from .commands import HELP
from .errors import explain

# Subcommands and the sentence that --help shows: `reward-table` is `reward_table` in
# `commands/reward_table.py`.
COMMANDS = {
    "adaptive": "Replay rules that stop sampling early on a run's pools.",
    "annotate": "Label thoughts by rollouts, to train a reward model on.",
    "base": "Fetch a language model to start from.",
    "bench": "Measure samples per second, and what the engine gains.",
    "check": "Fail if a run is worse than its baseline.",
    "claims": "Test sentences about runs, as one report.",
    "compare": "Compare runs and strategies on the same questions.",
    "convert": "Write a training program's checkpoint in the released format.",
    "curve": "Draw coverage and voting accuracy against N.",
    "data": "Prepare training text; no test questions in it.",
    "eval": "Run lm-eval; takes all flags of `lm_eval run`.",
    "export": "Write a run for scorio, every_eval_ever or the hub.",
    "judge": "Judge a run again: other ks, tolerance, judge.",
    "leaderboard": "Write a web page, a table and pictures of all runs.",
    "measure": "Measure thoughts, tokens and FLOPs of a question.",
    "pool": "Read candidates made by other programs.",
    "reward-table": "Compare reward models with the vote on identical pools.",
    "score": "Score a run by other reward models, from stored thoughts.",
    "sweep": "Run lists of settings, or try sampler strengths.",
    "tasks": "Print the folder of the tasks, for lm_eval's --include_path.",
    "train": "Train a reasoner by a recipe, a YAML file.",
    "train-rm": "Train a reward model on labelled thoughts.",
}
# What --help puts together; a command that is in none of these stands last.
SECTIONS = {
    "Evaluate": ("eval", "sweep", "measure", "tasks"),
    "Look at results": (*("leaderboard", "compare", "check", "curve", "claims", "pool", "export"),),
    "Use samples again": ("adaptive", "judge", "score"),
    "Train models": ("train", "annotate", "train-rm", "reward-table"),
}
# Everything after the name of a subcommand, --help included, belongs to another parser.
PASS_THROUGH = {"ignore_unknown_options": True, "help_option_names": []}


class Sections(click.Group):
    """A group whose --help has a section for each purpose."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands with their sentences, section by section."""
        listed = {name for names in SECTIONS.values() for name in names}
        others = tuple(name for name in self.list_commands(ctx) if name not in listed)
        for title, names in (SECTIONS | {"Others": others}).items():
            with formatter.section(title):
                formatter.write_dl([(name, self.commands[name].help or "") for name in names])


@click.group(cls=Sections, context_settings=HELP)
@click.version_option(package_name="latent-tts", prog_name="latent-tts")
def cli() -> None:
    """Benchmark parallel test-time scaling of latent reasoning models."""


def deferred(name: str, sentence: str, *, package: str = "latent_tts.harness.commands") -> None:
    """Add a subcommand that imports the real one when it is called.

    Args:
        name: of the subcommand, and of its module and function but for hyphens.
        sentence: its line in --help.
        package: where the module lies.
    """
    module = name.replace("-", "_")

    @cli.command(name, context_settings=PASS_THROUGH, add_help_option=False, help=sentence)
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def call(arguments: tuple[str, ...]) -> None:
        command: click.Command = getattr(importlib.import_module(f"{package}.{module}"), module)
        command.main(args=list(arguments), prog_name=f"latent-tts {name}")


for _name, _sentence in COMMANDS.items():
    deferred(_name, _sentence)


def main() -> None:
    """Run the command line; a mistake of the user's is one line and exit code 2, no traceback."""
    try:
        cli(prog_name="latent-tts")
    except Exception as error:
        message = explain(error)
        if message is None:
            raise
        click.echo(f"error: {message}", err=True)
        sys.exit(2)


if __name__ == "__main__":  # `accelerate launch -m latent_tts.harness.cli eval`
    main()
