"""`latent-tts eval`: lm-eval's own command, with this project's defaults filled in."""

from argparse import Namespace

import click

from ..lm_eval_seam import read_config, run_command
from .tasks import task_folder

DEFAULTS = {"model": "latent_tts", "tasks": ["latent_tts_arith"], "batch_size": "auto"}


@click.command(
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,  # -h is lm-eval's
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def eval(arguments: tuple[str, ...]) -> None:
    """Run lm-eval; takes all flags of `lm_eval run`.

    Alone it runs `--model latent_tts --tasks latent_tts_arith`. This project's tasks are always
    found, beside those of your own --include_path.
    """
    # With our path in front, a bare `latent-tts eval` runs instead of printing help, and a path
    # given by the user, being later, takes its place.
    command = ["run", "--include_path", str(task_folder()), *arguments]
    run_command(command, fill_defaults)


def fill_defaults(options: Namespace) -> Namespace:
    """Fill in what neither the command line nor a --config file says.

    The flag takes one path; lm-eval's TaskManager takes several, of which later ones win.

    Args:
        options: lm-eval's parsed flags; changed in place.

    Returns:
        The same options.
    """
    given = read_config(options.config) if options.config else {}
    for name, value in DEFAULTS.items():
        if not getattr(options, name, None) and name not in given:
            setattr(options, name, value)
    ours = str(task_folder())
    theirs = options.include_path if options.include_path != ours else given.get("include_path")
    paths = theirs if isinstance(theirs, list) else [theirs] if theirs else []
    options.include_path = [ours, *paths]
    return options
