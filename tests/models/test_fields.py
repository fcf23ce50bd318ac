"""Fields of settings say what they allow, by name, value and rule."""

import re
from dataclasses import dataclass

import pytest

from latent_tts.models import EngineOptions, ModelError, choice, flag, integer, real
from latent_tts.models.fields import check_fields


@dataclass(frozen=True, kw_only=True)
class Settings:
    share: float = real(0.5, below=1.0)
    width: float = real(1.0, least=-2.0)
    count: int = integer(1, least=1)
    any_count: int = integer(0)
    most: int | None = integer(None, least=0, optional=True)
    kind: str = choice("block", "branch")
    on: bool = flag(False)
    free: object = None  # nothing is said of it

    def __post_init__(self) -> None:
        check_fields(self)


GOOD = [
    {},
    {"share": 0},
    {"share": 0.0, "width": -2},
    {"share": 0.999, "width": 1e300},
    {"count": 10**30, "any_count": -(10**30)},
    {"most": 0},
    {"kind": "branch", "on": True, "free": object},
]


@pytest.mark.parametrize("given", GOOD, ids=str)
def test_what_is_allowed(given):
    settings = Settings(**given)
    assert {name: getattr(settings, name) for name in given} == given


def test_defaults():
    settings = Settings()
    assert (settings.share, settings.count, settings.kind, settings.on) == (0.5, 1, "block", False)


BAD = [
    ({"share": 1.0}, "share=1.0; allowed is a number at least 0 and below 1."),
    ({"share": -0.1}, "share=-0.1; allowed is a number at least 0 and below 1."),
    ({"share": float("nan")}, "share=nan; allowed is a number"),
    ({"share": "0.5"}, "share='0.5'; allowed is a number"),
    ({"share": True}, "share=True; allowed is a number"),
    ({"share": None}, "share=None; allowed is a number"),
    ({"width": float("inf")}, "width=inf; allowed is a number at least -2 and finite."),
    ({"width": 10**400}, "allowed is a number at least -2 and finite."),
    ({"count": 0}, "count=0; allowed is a whole number of at least 1."),
    ({"count": 1.0}, "count=1.0; allowed is a whole number of at least 1."),
    ({"count": None}, "count=None; allowed is a whole number of at least 1."),
    ({"any_count": True}, "any_count=True; allowed is a whole number."),
    ({"most": -1}, "most=-1; allowed is a whole number of at least 0."),
    ({"kind": "brunch"}, "kind='brunch'; Did you mean branch? Allowed are: block, branch."),
    ({"kind": 3}, "kind=3; Allowed are: block, branch."),
    ({"on": 1}, "on=1; allowed are true and false."),
    ({"on": "yes"}, "on='yes'; allowed are true and false."),
]


@pytest.mark.parametrize(("given", "message"), BAD, ids=[message for _, message in BAD])
def test_what_is_not_allowed_is_refused(given, message):
    with pytest.raises(ModelError, match=re.escape(message)):
        Settings(**given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"max_rows": 0}, "max_rows=0; allowed is a whole number of at least 1."),
        ({"max_rows": "64"}, "max_rows='64'; allowed is a whole number of at least 1."),
        ({"packed_weights": 1}, "packed_weights=1; allowed are true and false."),
    ],
)
def test_options_of_the_engine_are_checked(given, message):
    with pytest.raises(ModelError, match=re.escape(message)):
        EngineOptions(**given)
