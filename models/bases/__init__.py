"""Language models that latent reasoners are made of: fetched, converted, checked on use."""

from .fetch import fetch_base
from .known import BASES, ORIGINS, Base
from .store import Record, read_record, use_base

__all__ = ["BASES", "ORIGINS", "Base", "Record", "fetch_base", "read_record", "use_base"]
