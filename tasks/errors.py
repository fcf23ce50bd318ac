"""The error that wrong questions, answers, pools or settings raise."""


class TaskError(ValueError):
    """Questions, a pool or a task setting that cannot be used; the message says what to do.

    The command line prints the message alone, without a traceback, because of
    `latent_tts_user_error`.
    """

    latent_tts_user_error = True
