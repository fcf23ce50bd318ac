"""The engine against the published code; `server.py` runs with that code's requirements alone."""

from .compare import compare_reference

__all__ = ["compare_reference"]
