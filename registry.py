"""A table of things that users choose by name, and that other installed packages extend."""

import difflib
import importlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

T = TypeVar("T")
logger = logging.getLogger(__name__)


def near(name: object, allowed: Iterable[str], *, cutoff: float = 0.5) -> str:
    """Return ' Did you mean …?' with the allowed names most like `name`, or ''."""
    matches = difflib.get_close_matches(str(name), list(allowed), n=3, cutoff=cutoff)
    return f" Did you mean {' or '.join(matches)}?" if matches else ""


def class_check(
    group: str, base: type, *, attribute: str, what: str, error: type[Exception]
) -> Callable[[str, Any], None]:
    """Return a `check` for a registry of classes.

    Args:
        group: the registry's entry point group.
        base: what classes must derive from.
        attribute: of a class, which must be the name of its entry point.
        what: what it must be, in words that end before that name.
        error: raised for anything else.
    """

    def check(name: str, thing: Any) -> None:
        good = isinstance(thing, type) and issubclass(thing, base)
        if not good or getattr(thing, attribute, None) != name:
            raise error(
                f"The entry point {name!r} of {group} is {thing!r}; it must be {what} {name!r}."
            )

    return check


class Registry(Mapping[str, T], Generic[T]):
    """Name -> thing: those of this project, then those of entry points, imported when asked for.

    A name that this project has cannot be taken by another package.

    Args:
        group: entry point group by which other packages add to the table, such as
            `latent_tts.samplers`.
        what: what a thing is called in messages, such as `sampler`.
        error: raised for unknown names and for entry points that cannot be used.
        things: this project's, or where they are: `module:attribute`.
        check: raises `error` for a thing of another package that is none of its kind; what it
            returns, if anything, is used instead, such as the object of a class.
    """

    def __init__(
        self,
        group: str,
        *,
        what: str,
        error: type[Exception],
        things: Mapping[str, T | str],
        check: Callable[[str, Any], T | None] | None = None,
    ) -> None:
        self._group, self._what, self._error = group, what, error
        self._things: dict[str, T | str] = dict(things)
        self._check = check
        self._looked = False
        self._warned: set[str] = set()

    def __getitem__(self, name: str) -> T:
        """Return the thing of that name.

        Raises:
            Exception: the registry's `error`: an unknown name, or an entry point that cannot be
                imported or is nothing of the kind.
        """
        self._look()
        if not isinstance(name, str) or name not in self._things:
            raise self._error(
                f"No {self._what} is called {name!r}.{near(name, self._things)} Allowed are: "
                f"{', '.join(self._things)}."
            )
        thing = self._things[name]
        if isinstance(thing, str):
            module, _, attribute = thing.partition(":")
            try:
                thing = getattr(importlib.import_module(module), attribute)
            except Exception as error:  # a module may raise anything while it is imported
                raise self._error(
                    f"The {self._what} {name!r} of an installed package cannot be imported from "
                    f"{self._things[name]!r}: {error}. Mend that package, or uninstall it."
                ) from error
            finished = self._check(name, thing) if self._check is not None else None
            thing = thing if finished is None else finished
            self._things[name] = thing
        return thing

    def usable(self) -> dict[str, T]:
        """Return all things by name but those of packages that cannot be used.

        Each of these is warned of once; asking for it by name says what is wrong with it.
        """
        found: dict[str, T] = {}
        for name in self:
            try:
                found[name] = self[name]
            except self._error as error:
                if name not in self._warned:
                    self._warned.add(name)
                    logger.warning("%s It is left out.", error)
        return found

    def __contains__(self, name: object) -> bool:
        self._look()
        return name in self._things

    def __iter__(self) -> Iterator[str]:
        self._look()
        return iter(self._things)

    def __len__(self) -> int:
        self._look()
        return len(self._things)

    def _look(self) -> None:
        """Enter what installed packages declare, once."""
        if not self._looked:
            self._looked = True
            for point in entry_points(group=self._group):
                self._things.setdefault(point.name, point.value)
