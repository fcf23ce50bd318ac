"""How many positions a model has."""

from ..backbones.protocol import Readable


def position_limit(model: Readable) -> int:
    """Return how many positions a row may use.

    Rotary embeddings of type `longrope` (Phi-3's long versions) change all rows' frequencies as
    soon as one row of the batch is longer than the model was first trained for; up to there a row
    does not depend on others.
    """
    config = model.config.get_text_config()
    limit = config.max_position_embeddings
    rope = getattr(config, "rope_parameters", None) or {}
    for parameters in (rope, *(value for value in rope.values() if isinstance(value, dict))):
        if parameters.get("rope_type") == "longrope":
            first = parameters.get("original_max_position_embeddings")
            first = first or getattr(config, "original_max_position_embeddings", None)
            limit = min(limit, first or limit)
    return limit
