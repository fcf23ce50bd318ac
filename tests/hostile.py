"""Strategies of hypothesis for what a user, a disk or another program may hand over."""

import json
import math

from hypothesis import strategies as st

ODD = [
    *(None, True, False, 0, -1, 1, 3, 2**31, 2**63, -(2**63), 10**31, -(10**31)),
    *(0.5, -0.5, 1.0, 1e-320, 1e308, math.nan, math.inf, -math.inf),
    *("", " ", "x", "1", "0.5", "nan", "None", "true", "a,b", "a=b", "../..", "/", "\0", "\ud800"),
    *("٣", "x" * 500, "{}", "[1]", "cpu:99", "cuda:x", "auto:0", "int8", "%s {0}"),
    *([], [1], ["a"], [None], [[1]], {}, {"a": 1}, {"a": {"b": [1]}}, (), (1, 2)),
]
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=6,
)
VALUES = st.sampled_from(ODD) | _JSON


def places(content, path=()):
    """The paths to all values in an object of JSON."""
    inner = content.items() if isinstance(content, dict) else enumerate(content)
    for key, value in inner:
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from places(value, (*path, key))


@st.composite
def spoiled(draw, line):
    """A line of JSON with one thing wrong with it, or none."""
    kind = draw(st.sampled_from(["cut", "letter", "value", "absent", "other"]))
    at = draw(st.integers(0, len(line) - 1))
    if kind == "cut":
        return line[:at]
    if kind == "letter":
        new = draw(st.sampled_from('{}[]",:\\0\ud800x9-\ufeff') | st.characters())
        return line[:at] + new + line[at + draw(st.integers(0, 2)) :]
    content = json.loads(line)
    if kind == "other":
        return json.dumps(draw(VALUES | st.just([content]) | st.just("[" * 9000)))
    path = draw(st.sampled_from(list(places(content))))
    holder = content
    for key in path[:-1]:
        holder = holder[key]
    if kind == "absent":
        del holder[path[-1]]
    else:
        holder[path[-1]] = draw(VALUES)
    return json.dumps(content)


@st.composite
def spoiled_file(draw, lines):
    """Lines of which one is spoiled, as bytes."""
    lines = list(lines)
    at = draw(st.integers(0, len(lines) - 1))
    lines[at] = draw(spoiled(lines[at]))
    return "".join(f"{line}\n" for line in lines).encode(errors="surrogatepass")


@st.composite
def damaged(draw, content):
    """Bytes of which some are changed, cut off, repeated or replaced."""
    at = draw(st.integers(0, len(content) - 1))
    length = draw(st.sampled_from([1, 1, 1, 9, 300]))
    new = draw(st.binary(min_size=1, max_size=9))
    return draw(
        st.sampled_from(
            [
                content[:at],
                content[at:],
                content[:at] + new[:1] + content[at + 1 :],
                content[:at] + content[at + length :],
                content[:at] + new + content[at:],
                content + content[at : at + length],
                new,
                b"",
            ]
        )
    )
