"""What commands say of runs that they do not use."""

from collections.abc import Iterable

import click

from ...results.runs import Problem


def tell(problems: Iterable[Problem]) -> None:
    """Say on stderr what is left out, or used with a caution."""
    for problem in problems:
        click.echo(f"{'skipped' if problem.skipped else 'note'}: {problem}", err=True)
