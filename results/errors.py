"""The error that runs, records and comparisons that cannot be used raise."""


class ResultsError(ValueError):
    """A run that cannot be read or compared; the message says what to do.

    The command line prints the message alone, without a traceback, because of
    `latent_tts_user_error`.
    """

    latent_tts_user_error = True
