"""Where commands write."""

from pathlib import Path
from typing import Any

import click

from ..writable import check_writable


class Output(click.Path):
    """A folder or file that is written at the end: found out at once if it cannot be.

    Args:
        folder: whether it is a folder.
    """

    def __init__(self, *, folder: bool) -> None:
        super().__init__(path_type=Path, file_okay=not folder, dir_okay=folder)
        self._folder = folder

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return the path.

        Raises:
            ResultsError: nothing can be written there.
        """
        path = Path(str(super().convert(value, param, ctx)))
        asked = f"{param.opts[0]} {value}" if param else str(value)
        check_writable(path if self._folder else path.parent, asked=asked)
        return path
