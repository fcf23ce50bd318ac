"""A table that other installed packages extend by entry points."""

import keyword
import sys

import pytest

from latent_tts.registry import Registry, near


class OwnError(ValueError):
    pass


def check(name, thing):
    """Fruits are lists; of a tuple one is made."""
    if not isinstance(thing, list | tuple):
        raise OwnError(f"{name} is {thing}")
    return list(thing) if isinstance(thing, tuple) else None


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a package with one module and entry points of the group `latent_tts.fruit`."""

    def make(points, module="THING = ('sweet',)\nLIST = []\nBAD = 3\n"):
        (tmp_path / "orchard.py").write_text(module)
        info = tmp_path / "orchard-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: orchard\nVersion: 1.0\n")
        lines = "".join(f"{name} = {at}\n" for name, at in points.items())
        (info / "entry_points.txt").write_text(f"[latent_tts.fruit]\n{lines}")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "orchard", raising=False)

    return make


def fruit():
    things = {"apple": ["red"], "lemon": "keyword:kwlist"}
    return Registry("latent_tts.fruit", what="fruit", error=OwnError, things=things, check=check)


def test_own_things_are_there_and_imported_when_asked_for():
    table = Registry(
        "latent_tts.none", what="fruit", error=OwnError, things={"n": "keyword:kwlist"}
    )
    assert table["n"] is keyword.kwlist
    assert (list(table), len(table), "n" in table, "m" in table) == (["n"], 1, True, False)


def test_installed_packages_add_theirs(install):
    install({"plum": "orchard:THING", "pear": "orchard:LIST"})
    table = fruit()
    assert list(table) == ["apple", "lemon", "plum", "pear"]
    assert table["plum"] == ["sweet"]  # as the check finished it
    assert table["pear"] == []
    assert table["plum"] is table["plum"]


def test_own_names_cannot_be_taken(install):
    install({"lemon": "orchard:THING"})
    assert fruit()["lemon"] is keyword.kwlist


@pytest.mark.parametrize("name", ["lemn", "kiwi", 3, None, []])
def test_an_unknown_name_is_refused_with_those_that_are_like_it(name):
    meant = " Did you mean lemon?" if name == "lemn" else ""
    with pytest.raises(OwnError) as raised:
        fruit()[name]
    expected = f"No fruit is called {name!r}.{meant} Allowed are: apple, lemon."
    assert str(raised.value) == expected


@pytest.mark.parametrize("at", ["orchard:MISSING", "no_such_module_here:THING", "orchard:THING.x"])
def test_an_entry_point_that_cannot_be_imported_is_named(install, at):
    install({"plum": at})
    table = fruit()
    assert "plum" in table  # nothing is imported for it
    message = f"The fruit 'plum' of an installed package cannot be imported from '{at}': .*Mend"
    with pytest.raises(OwnError, match=message):
        table["plum"]
    assert table["lemon"] is keyword.kwlist  # others are as good as before


def test_an_entry_point_that_raises_when_imported_is_named(install):
    install({"plum": "orchard:THING"}, module="raise RuntimeError('frost')\n")
    with pytest.raises(OwnError, match=r"'plum' of an installed package cannot be imported.*frost"):
        fruit()["plum"]


def test_an_entry_point_of_another_kind_is_refused_whenever_it_is_asked_for(install):
    install({"plum": "orchard:BAD"})
    table = fruit()
    for _ in range(2):
        with pytest.raises(OwnError, match="plum is 3"):
            table["plum"]


def test_names_that_are_like_another():
    assert near("aple", ["apple", "maple", "kiwi"]) == " Did you mean maple or apple?"
    assert near("x", ["apple"]) == ""
    assert near(3, ["apple"]) == ""
