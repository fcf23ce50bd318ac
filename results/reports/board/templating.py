"""The templates of pages and tables, and the libraries that pages bring along."""

import json
import shutil
from functools import cache
from pathlib import Path

import jinja2
from markupsafe import Markup

from ..charts import CHART
from ..table import number, plus_minus

_HERE = Path(__file__).parent
ASSETS = _HERE / "assets"
_SHARED = (
    "tabulator.min.js",
    "tabulator_simple.min.css",
    "board.css",
    "page.js",
    "question.js",
    "run.js",
)

_IN_MARKDOWN = str.maketrans(
    {character: f"\\{character}" for character in "\\`*_[]<>|#"} | {"\n": " ", "\r": " "}
)


def render(template: str, **context: object) -> str:
    """Return a filled template; everything in an HTML page is escaped."""
    return _environment().get_template(template).render(**context)


def write_text(path: Path, text: str) -> None:
    """Write a file; what is no character, such as half of a pair, becomes a question mark."""
    path.write_text(text, encoding="utf-8", errors="replace", newline="\n")


def copy_assets(folder: Path) -> None:
    """Put what run pages share, and the licences, into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (*_SHARED, "LICENSES.md"):
        shutil.copyfile(ASSETS / name, folder / name)


def seed(value: object) -> str:
    """Return a seed without the point that pandas gives it where others are unknown."""
    integral = isinstance(value, float) and value.is_integer()
    return f"{value:.0f}" if integral else number(value)


def in_markdown(text: object) -> str:
    """Return a text so that Markdown shows it as it is, within a cell too."""
    return str(text).translate(_IN_MARKDOWN)


def in_script(content: object) -> Markup:
    """Return JSON that cannot end the script element in which it stands."""
    return in_element(json.dumps(content, allow_nan=False))


def in_element(text: str) -> Markup:
    """Return JSON text that cannot end the script element in which it stands."""
    return Markup(text.replace("<", "\\u003c"))


def _inline(name: str) -> Markup:
    """Return a file of this package, to stand within a page as it is."""
    return Markup((ASSETS / name).read_text(encoding="utf-8"))


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE / "templates"),
        autoescape=lambda name: bool(name) and ".html" in str(name),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals.update(inline=_inline, chart=CHART)
    environment.filters.update(
        plus_minus=plus_minus,
        number=number,
        seed=seed,
        in_markdown=in_markdown,
        in_script=in_script,
        in_element=in_element,
    )
    return environment
