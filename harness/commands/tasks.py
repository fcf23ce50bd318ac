"""`latent-tts tasks`: where the benchmarks' YAMLs are installed."""

import click

from ...tasks.published import PUBLISHED, SHIPPED
from ..benchmarks import task_folder
from . import HELP


@click.command(context_settings=HELP)
@click.option("--long", "listed", is_flag=True, help="List all sets of questions instead.")
def tasks(listed: bool) -> None:
    """Print the folder of the tasks, for lm_eval's --include_path."""
    if not listed:
        click.echo(task_folder())
        return
    for name, one in (PUBLISHED | SHIPPED).items():
        where = f"hub: {one.hub.path}, {one.hub.split}" if one.hub else one.place
        click.echo(
            f"latent_tts_{name}: {one.title}\n"
            f"  questions: {one.size:,} ({one.split}); judge: {one.judge}\n"
            f"  from: {where}\n"
            f"  licence: {one.licence}\n"
            f"  source: {one.paper}\n"
            f"  numbers on these questions: {one.reported}"
        )
