"""The error that wrong questions, answers, pools or settings raise."""

from ..errors import LatentTTSError


class TaskError(LatentTTSError):
    """Questions, a pool or a task setting that cannot be used; the message says what to do."""
