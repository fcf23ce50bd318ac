"""The errors that a wrong reward model, shard or input raises."""

from ..errors import LatentTTSError


class RewardError(LatentTTSError):
    """A reward model, shard or pool that cannot be used; the message says what to do."""


class CorruptShardError(RewardError):
    """A shard that is missing, cut off or damaged; the others of its folder are usable."""
