"""Kernels that are optional: where they cannot be imported, the model's own layers compute."""

import logging

try:
    from .cpu import fast
    from .packed import HEAD_TOKENS, drop_stale, packed_head, stop_packing
except ImportError as error:  # another torch or transformers, without what they are built on
    from .plain import HEAD_TOKENS, drop_stale, fast, packed_head, stop_packing

    logging.getLogger(__name__).info("The CPU's kernels are off: %s", error)

__all__ = ["HEAD_TOKENS", "drop_stale", "fast", "packed_head", "stop_packing"]
