"""The base class of the errors that a user can mend."""


class LatentTTSError(ValueError):
    """Something given by the user cannot be used; the message says what to do instead.

    Each room derives its own: `TaskError`, `ModelError`, `RewardError`, `ResultsError`. The command
    line prints the message alone, without a traceback.
    """
