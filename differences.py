"""What differs between two records of settings, in words."""

from collections.abc import Mapping

_MOST = 60  # characters of a value that is told


def differences(old: Mapping[str, object], new: Mapping[str, object]) -> dict[str, str]:
    """Return what differs, as `noise_std` -> `noise_std was 0.6 and is now 0.1`.

    Args:
        old: values by name; records within are gone through, and their values named `data.seed`,
            but those of `settings`, which bear the names that users type.
        new: likewise. None is as good as no value.
    """
    theirs, ours = _flat(old), _flat(new)
    return {
        name: f"{name} was {_told(theirs.get(name))} and is now {_told(ours.get(name))}"
        for name in {**theirs, **ours}
        if theirs.get(name) != ours.get(name)
    }


def _told(value: object) -> str:
    return "not set" if value is None else repr(value)[:_MOST]


def _flat(values: Mapping[str, object], path: str = "") -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= _flat(value, path if name == "settings" else f"{path}{name}.")
        else:
            found[f"{path}{name}"] = value
    return found
