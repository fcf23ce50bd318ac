"""The error that a wrong reward model or input raises."""


class RewardError(ValueError):
    """A reward model, shard or pool that cannot be used; the message says what to do."""

    latent_tts_user_error = True
