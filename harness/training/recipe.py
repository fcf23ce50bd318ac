"""A recipe: one YAML with everything that makes a checkpoint."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import msgspec
import yaml

from ...models import SAMPLERS, ModelError, Sampler
from ...models.samplers import parameters
from ...models.training import OBJECTIVES, Lora, Objective, Plan
from ...registry import near

T = TypeVar("T")

TRAINED = "train_"
"""What begins the names of samplers' parameters in a recipe: `train_noise_std`."""
_UNIMPORTANT = ("save_minutes", "log_updates", "eval_updates", "report_to")
_OWN = ("objective", "base", "adapter", "data", "validation", "validation_count", "publish")


@dataclass(frozen=True, kw_only=True)
class Publish:
    """How the checkpoint is written.

    Attributes:
        dtype: of the weights in the file.
        merge: whether adapters are added to the base's weights; otherwise they are written alone.
        generation: what the checkpoint's generation_config.json says, such as `latent_length`.
    """

    dtype: str = "float16"
    merge: bool = True
    generation: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What determines a checkpoint.

    Attributes:
        name: of the recipe, and of the checkpoint's folder unless another is given.
        objective: what is learned.
        base: the model that it starts from, a folder, hub id or name; or the config of a new one,
            with `model_type` and `vocab_size`.
        adapter: folder of adapters of the base to go on from, with the same `lora_` settings.
        data: what it learns from: files, or `{"arith": count}` for generated problems.
        validation: what it is measured on, likewise.
        validation_count: most questions of it.
        plan: for how long, and how fast.
        lora: which weights are trained.
        sampler: makes thoughts random while training.
        publish: how the checkpoint is written.
    """

    name: str
    objective: Objective
    base: str | dict[str, Any]
    adapter: str | None = None
    data: tuple[str | dict[str, Any], ...]
    validation: tuple[str | dict[str, Any], ...] = ()
    validation_count: int = 200
    plan: Plan
    lora: Lora
    sampler: Sampler
    publish: Publish

    def record(self) -> dict[str, Any]:
        """Return all that the weights depend on, as JSON."""
        plan = {k: v for k, v in asdict(self.plan).items() if k not in _UNIMPORTANT}
        return msgspec.to_builtins(
            {
                "objective": self.objective.name,
                **asdict(self.objective),
                "base": self.base,
                "data": self.data,
                **plan,
                **asdict(self.lora),
                "train_by": self.sampler.name,
                **{TRAINED + name: value for name, value in asdict(self.sampler).items()},
            }
        )


def read_recipe(path: Path, overrides: Mapping[str, Any]) -> Recipe:
    """Read a recipe's YAML; what a flag says wins over it.

    Raises:
        ModelError: the file cannot be read, or a setting is unknown, lacking or out of its range.
    """
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(
            f"No recipe at {path}: {error}. Give a YAML file, such as recipes/tiny-codi.yaml."
        ) from error
    except yaml.YAMLError as error:
        raise ModelError(f"{path} is no YAML: {error}") from error
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise ModelError(f"{path} must hold settings, `name: value` each; found {found!r:.80}.")
    given = found | {name: value for name, value in overrides.items() if value not in (None, ())}
    return _recipe(given, path)


def setting_types(objective: type[Objective] | None = None) -> Iterator[tuple[str, type]]:
    """Yield every number and name that a recipe may hold, with the class that owns it."""
    kinds = [objective] if objective else list(OBJECTIVES.values())
    for kind in (Plan, Lora, *kinds):
        for one in fields(kind):
            yield one.name, kind


def _recipe(given: Mapping[str, Any], path: Path) -> Recipe:
    for name in ("objective", "base", "data"):
        if given.get(name) is None:
            raise ModelError(f"{path} says no {name}. A recipe needs objective, base and data.")
    kind = OBJECTIVES[given["objective"]]
    own = dict(setting_types(kind))
    train = [TRAINED + name for name in parameters()]
    for name in given:
        if name not in own and name not in _OWN and name not in train:
            of = [each.name for each in OBJECTIVES.values() if name in dict(setting_types(each))]
            why = f" It is a setting of {', '.join(of)}." if of else near(name, [*own, *_OWN])
            raise ModelError(
                f"{path}: {name} is no setting of a recipe with objective {kind.name}.{why} "
                f"Allowed are: {', '.join([*_OWN, *own, *train])}."
            )

    def part(each: type[T]) -> T:
        hints = get_type_hints(each)
        names = [name for name, owner in own.items() if owner is each]
        values = {name: given[name] for name in names if given.get(name) is not None}
        return each(**{k: _convert(v, hints[k], f"{path}: {k}") for k, v in values.items()})

    rest = {name: given[name] for name in _OWN if name in given and name != "objective"}
    hints = get_type_hints(Recipe)
    rest = {name: _convert(value, hints[name], f"{path}: {name}") for name, value in rest.items()}
    plan = part(Plan)
    sampler = _sampler({k: given[k] for k in train if given.get(k) is not None}, path)
    lora = part(Lora)
    if given.get("adapter") is not None and not lora.lora_rank:
        raise ModelError(
            f"{path}: adapter without lora_rank. Say the rank that new ones shall have."
        )
    publish: Publish = rest.get("publish", Publish())
    if lora.lora_rank and not publish.merge and isinstance(rest["base"], dict):
        raise ModelError(
            f"{path}: publish: merge: false leaves adapters alone, which nobody could load without "
            "a base to name. Give base a folder, a hub id or a name, or merge them."
        )
    if plan.gradient_checkpointing and sampler.reading_varies:
        raise ModelError(
            f"{path}: gradient_checkpointing computes states a second time, and the masks of "
            f"{sampler.name} are made for one. Leave one of them out."
        )
    return Recipe(
        name=path.stem,
        objective=part(kind),
        plan=plan,
        lora=lora,
        sampler=sampler,
        publish=publish,
        **{name: value for name, value in rest.items() if name != "publish"},
    )


def _sampler(given: Mapping[str, Any], path: Path) -> Sampler:
    chosen = {
        name
        for name in SAMPLERS.usable()
        for parameter in parameters(name)
        if TRAINED + parameter in given
    }
    if len(chosen) > 1:
        raise ModelError(
            f"{path}: {', '.join(given)} belong to the samplers {' and '.join(sorted(chosen))}. "
            "Thoughts are made random by one sampler while training: give one's parameters."
        )
    if not chosen:
        return Sampler()
    kind = SAMPLERS[chosen.pop()]
    hints = get_type_hints(kind)
    names = {name.removeprefix(TRAINED): value for name, value in given.items()}
    return kind(**{k: _convert(v, hints[k], f"{path}: {TRAINED}{k}") for k, v in names.items()})


def _convert(value: Any, kind: Any, where: str) -> Any:
    """Return a YAML value as a field's type; YAML reads 1e-4 as a text."""
    try:
        return msgspec.convert(value, kind, strict=False)
    except (msgspec.ValidationError, UnicodeError) as error:  # half a character is no text
        raise ModelError(f"{where}={value!r}: {error}.") from error
