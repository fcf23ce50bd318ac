"""Make lm-eval 0.4.13 find plugins by their entry points, as its successor does.

A one-line ``.pth`` beside this file imports it whenever Python starts, so it must cost next to
nothing: it only puts a finder on ``sys.meta_path``. Once lm-eval has run one of the modules in
``WATCHED``, the installed entry points are registered as lazy placeholders. Built-in names win;
an lm-eval with plugin discovery of its own is left alone. ``LATENT_TTS_NO_BACKPORT=1`` switches
all of this off.
"""

import sys

# lm-eval module -> {entry-point group: attribute of lm_eval.api.registry}. Each module is the one
# that fills its registry with the built-ins, so that ours always come after them.
WATCHED = {
    "lm_eval.models": {"lm_eval.models": "model_registry"},
    "lm_eval.filters": {"lm_eval.filters": "filter_registry"},
    "lm_eval.api.metrics": {
        "lm_eval.metrics": "metric_registry",
        "lm_eval.aggregations": "aggregation_registry",
    },
}


def register(groups):
    """Register the installed entry points of ``groups`` that lm-eval does not know yet.

    Args:
        groups: Entry-point group -> name of its registry in ``lm_eval.api.registry``.
    """
    import logging
    from importlib.metadata import entry_points

    logger = logging.getLogger("latent_tts")
    try:
        api = sys.modules["lm_eval.api.registry"]
        if any("plugin" in name.lower() for name in vars(api)):
            return  # `load_plugins` and its kin: this lm-eval discovers plugins itself
        for group, attribute in groups.items():
            registry = getattr(api, attribute)
            for entry in entry_points(group=group):
                if entry.name not in registry:
                    # A string, not the EntryPoint: only strings give way without a conflict to a
                    # class that registers itself under the same name while it is imported.
                    registry.register(entry.name, target=f"{entry.module}:{entry.attr}")
    except Exception as error:
        # lm-eval without its plugins is still lm-eval: say so, but never break its import.
        logger.warning(
            "could not register the installed plugins of %s with lm-eval: %r; "
            "check that lm-eval is 0.4.13 or newer",
            ", ".join(groups),
            error,
        )


class Finder:
    """Finds nothing itself; adds a step after the watched modules have run."""

    def __init__(self):
        """Start with every watched module outstanding."""
        self.waiting = dict(WATCHED)

    def find_spec(self, name, path=None, target=None):
        """Return the other finders' spec of a watched module, or None for any other name.

        Args:
            name: Absolute module name.
            path: The parent package's ``__path__``.
            target: The module being reloaded, if any.
        """
        if name not in self.waiting:
            return None
        others = [f for f in sys.meta_path if f is not self and hasattr(f, "find_spec")]
        found = (finder.find_spec(name, path, target) for finder in others)
        spec = next((spec for spec in found if spec is not None), None)
        execute = getattr(getattr(spec, "loader", None), "exec_module", None)
        if execute is None:
            return spec

        def exec_module(module):
            execute(module)
            # Only after success, so that an import that failed can be tried again.
            groups = self.waiting.pop(name, None)
            vars(spec.loader).pop("exec_module", None)
            if not self.waiting and self in sys.meta_path:
                sys.meta_path.remove(self)
            if groups:
                register(groups)

        try:
            # On the loader at hand instead of a loader of ours: resources, source look-up and
            # reload go on seeing the class that they know.
            spec.loader.exec_module = exec_module
        except AttributeError:
            return spec  # a loader that takes no attributes: lm-eval runs, without plugins
        return spec


sys.meta_path.insert(0, Finder())
