"""Run folders of Latent-SFT (DJC-GO-SOLO/Latent-SFT): which folder in them is the model."""

from pathlib import Path

from ..errors import ModelError
from .side import model_type

_UNION = ("decoder_weight", "encoder_weight")  # of its third stage's lora_adapter


def check_run_folder(name: str, root: Path) -> None:
    """Raise ModelError, naming what to give instead, where a folder is such a run's.

    A run holds `hf`, the merged model, and `lora_adapter`, or one of both in `checkpoint-<n>`.

    Args:
        name: as the user gave it.
        root: the file or folder.
    """
    if not root.is_dir():
        return
    places = [root, *sorted(root.glob("checkpoint-*"))]
    merged = [place / "hf" for place in places if model_type(place / "hf")]
    adapters = [
        *(place / "lora_adapter" for place in places if (place / "lora_adapter").is_dir()),
        *([root] if any((root / one).is_dir() for one in _UNION) else []),
    ]
    if not merged and not adapters:
        return
    what = f"{name!r} is a run folder of Latent-SFT, whose model is the merged one, hf/, which "
    if merged:
        chosen = " or ".join(f"pretrained={place}" for place in merged)
        raise ModelError(f"{what}backbone=latent_sft reads. Give {chosen}, backbone=latent_sft.")
    inner = [path for one in adapters for path in map(one.joinpath, _UNION) if path.is_dir()]
    listed = ", ".join(map(str, inner or adapters))
    raise ModelError(
        f"{what}backbone=latent_sft reads; this one holds adapters alone: {listed}. Merge them by "
        "its repository's merge_lora.py (of a union, the decoder's), and give that folder."
    )
