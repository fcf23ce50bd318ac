"""The error that a wrong checkpoint, setting or input raises."""


class ModelError(ValueError):
    """A checkpoint, a setting or an input that cannot be used; the message says what to do.

    The command line prints the message alone, without a traceback, because of
    `latent_tts_user_error`.
    """

    latent_tts_user_error = True
