"""The classes of lm-eval tasks that YAMLs name: `class: !function latent_tts.tasks.classes.NAME`.

This room knows no lm-eval, so it knows none of them: installed packages declare them as entry
points of the group `latent_tts.tasks`, this project's own among them.
"""

from ..registry import Registry
from .errors import TaskError

TASK_CLASSES: Registry[type] = Registry(
    "latent_tts.tasks", what="task class", error=TaskError, things={}
)


def __getattr__(name: str) -> type:
    """Return the class of that name."""
    if name.startswith("__") or name not in TASK_CLASSES:
        raise AttributeError(
            f"no installed package declares a task class {name!r}; there are "
            f"{', '.join(TASK_CLASSES)}"
        )
    return TASK_CLASSES[name]
