"""Language models that latent reasoners are made of: fetched, converted, checked on use."""

from .fetch import fetch_base
from .known import BASES, ORIGINS, KnownBase
from .store import Record, read_record, use_base

__all__ = ["BASES", "ORIGINS", "KnownBase", "Record", "fetch_base", "read_record", "use_base"]
