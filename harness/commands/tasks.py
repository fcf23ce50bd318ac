"""`latent-tts tasks`: where the benchmarks' YAMLs are installed."""

import importlib.util
from pathlib import Path

import click

from ...tasks.published import PUBLISHED
from . import HELP


@click.command(context_settings=HELP)
@click.option("--long", "listed", is_flag=True, help="List the published sets instead.")
def tasks(listed: bool) -> None:
    """Print the folder of the tasks, for lm_eval's --include_path."""
    if not listed:
        click.echo(task_folder())
        return
    for name, one in PUBLISHED.items():
        where = f"hub: {one.hub.path}, {one.hub.split}" if one.hub else "a local folder (data_dir)"
        click.echo(
            f"latent_tts_{name}: {one.title}\n"
            f"  questions: {one.size:,} ({one.split}); judge: {one.judge}\n"
            f"  from: {where}\n"
            f"  licence: {one.licence}\n"
            f"  source: {one.paper}\n"
            f"  numbers on these questions: {one.reported}"
        )


def task_folder() -> Path:
    """Return the installed folder of task YAMLs, without importing the tasks."""
    spec = importlib.util.find_spec("latent_tts.tasks")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("latent_tts.tasks is not installed; reinstall latent-tts")
    return Path(spec.submodule_search_locations[0], "benchmarks")
