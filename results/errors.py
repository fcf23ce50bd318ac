"""The error that runs, records and comparisons that cannot be used raise."""

from ..errors import LatentTTSError


class ResultsError(LatentTTSError):
    """A run that cannot be read or compared; the message says what to do."""
