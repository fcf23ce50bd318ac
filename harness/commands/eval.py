"""`latent-tts eval`: lm-eval's own command, with this project's defaults filled in."""

import re
import textwrap
from argparse import Namespace
from dataclasses import fields

import click

from ...models import SAMPLERS, EngineOptions, LatentGenerationConfig
from ...registry import near
from ..arguments import ModelArguments
from ..benchmarks import task_folder
from ..docstrings import described
from ..lm_eval_seam import UsageError, read_config, run_command
from ..saving import SavedResults, results_folder
from ..writable import check_writable

_FLAGS = {"device", "batch_size", "max_batch_size"}  # lm-eval's, listed above
# Fields of transformers' config that latent sampling reads.
_MORE_SETTINGS = {
    "num_return_sequences": "N, samples of each question.",
    "num_beams": "beams of a search guided by a reward model.",
    "max_new_tokens": "thoughts, end marker and answer tokens together.",
    "do_sample": "whether answers are sampled; greedy unless asked.",
    "temperature": "of sampled answers.",
}
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
    saved: list[SavedResults] = []

    def fill(options: Namespace) -> Namespace:
        fill_defaults(options)
        given = read_config(options.config) if options.config else {}
        path = options.output_path or given.get("output_path")
        if path:
            check_writable(results_folder(path), asked=f"--output_path {path}")
            saved.append(SavedResults(path))
        return options

    try:
        run_command(command, fill, settings=describe_settings())
    except UsageError as error:
        raise _with_hint(error) from error
    for results in saved:
        click.echo(f"Results: {results.finish()}", err=True)


def _with_hint(error: UsageError) -> UsageError:
    """Name the tasks that are most like one that lm-eval does not know."""
    # As 0.4.13 says it, and as 0.5 does.
    found = re.search("Tasks not found: (.*)|Spec '(.*)' is not a registered task", str(error))
    if not found:
        return error
    unknown = found[1] or found[2]
    names = [file.stem for file in task_folder().glob("latent_tts*.yaml")]
    return UsageError(
        f"Tasks not found: {unknown}.{near(unknown, names)} Allowed are "
        f"{', '.join(sorted(names))}, lm-eval's own (`lm_eval ls tasks`), and those of "
        "--include_path."
    )


def describe_settings() -> str:
    """Return what --help says of this project's settings: each with its default and a sentence."""
    defaults = {
        field.name: field.default
        for kind in (ModelArguments, EngineOptions)
        for field in fields(kind)
    }
    arguments = described(ModelArguments) | described(EngineOptions)
    samples = described(LatentGenerationConfig) | _MORE_SETTINGS
    samples["latent_do_sample_by"] = f"the sampler: {' or '.join(SAMPLERS)}."
    for kind in SAMPLERS.usable().values():
        samples |= {name: f"{kind.name}: {text}" for name, text in described(kind).items()}
    lines = ["model arguments (--model_args name=value,...):"]
    for name in (name for name in arguments if name not in _FLAGS):
        text, default = arguments[name], defaults[name]
        lines += _entry(name, text if default is None else f"{text} (default: {default})")
    lines += [
        "",
        "settings of samples (--model_args or --gen_kwargs; default: the checkpoint's own):",
    ]
    for name, text in samples.items():
        lines += [] if name == "kwargs" else _entry(name, text)
    return "\n".join(lines)


def _entry(name: str, text: str) -> list[str]:
    indent = " " * 24
    lines = textwrap.wrap(text, 96, initial_indent=indent, subsequent_indent=indent)
    if len(name) > 20:
        return [f"  {name}", *lines]
    return [f"  {name:<22}{lines[0].lstrip()}", *lines[1:]]


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
