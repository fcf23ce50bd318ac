"""The errors that a wrong reward model, shard or input raises."""


class RewardError(ValueError):
    """A reward model, shard or pool that cannot be used; the message says what to do."""

    latent_tts_user_error = True


class CorruptShardError(RewardError):
    """A shard that is missing, cut off or damaged; the others of its folder are usable."""
