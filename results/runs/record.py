"""What is known of one task of one run, without its pools."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from .settings import chosen_settings


class Estimate(NamedTuple):
    """A mean over questions with its standard error, None where lm-eval gives none."""

    value: float
    stderr: float | None


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What made a run's candidates.

    Attributes:
        backbone: `coconut`, `codi`, `colar`, …; lm-eval's name of another model, such as `hf`; None
            where another program made the candidates.
        checkpoint: the name that was given for it.
        weights_sha256: digest of its weights; of the pool file where that was imported.
        parts: its base and its adapter, where it has them, with their digests; how it was read,
            where its files do not say.
        named: the checkpoint alone, where `checkpoint` names an adapter too.
        revision: of a hub repository.
        parameters: of the backbone, a count.
        sampler: its name; `temperature` where only the text is sampled; `none`, `unknown`.
        strength: the sampler's parameter that says how far samples differ, or the temperature.
        samples: N, candidates a question, `repeats` included.
        repeats: pools a question that lm-eval asked for, which are joined to one.
        seed: of the samples.
        reward_model: its name, where there is one.
        reward_sha256: digest of its weights.
        device: where it ran.
        dtype: of the weights.
        prompt_format: what the model is given, with {question} where the question stands.
        command: the line that was typed, where it was recorded.
        rebuilt_command: one with the same settings, where lm-eval recorded enough.
        settings: all sampling settings, by name.
        model_args: what the model was told, by name; None where that was not recorded.
        versions: of the packages, by name.
    """

    backbone: str | None
    checkpoint: str
    weights_sha256: str | None = None
    parts: Mapping[str, str] = field(default_factory=dict)
    named: str | None = None
    revision: str | None = None
    parameters: int | None = None
    sampler: str
    strength: float | None
    samples: int | None
    repeats: int = 1
    seed: int | None = None
    reward_model: str | None = None
    reward_sha256: str | None = None
    device: str | None = None
    dtype: str | None = None
    prompt_format: str | None = None
    command: str | None = None
    rebuilt_command: str | None = None
    settings: Mapping[str, object] = field(default_factory=dict)
    model_args: Mapping[str, object] | None = None
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def deterministic(self) -> bool:
        """Whether a repetition must give the same answers, whatever the seed."""
        return self.sampler == "none"

    @property
    def stop(self) -> str | None:
        """The rule by which sampling stopped early; None where all N samples were drawn."""
        rule = self.settings.get("stop")
        return None if rule is None else str(rule)

    @property
    def chosen_settings(self) -> dict[str, object]:
        """The settings by which runs are told apart, see `settings.chosen_settings`."""
        return chosen_settings(self.settings)


@dataclass(frozen=True, kw_only=True)
class Run:
    """One task of one lm-eval run, without its pools.

    Attributes:
        name: the run folder's path below the folder that was searched.
        task: the task's name.
        task_version: of its YAML; None where candidates of another program were imported.
        date: when it was written, as in the files' names.
        config: what made the candidates.
        metrics: by name, `voting@64` and the like.
        higher_is_better: metric -> whether more is better; a neutral metric is not in it.
        questions: how many were asked.
        task_questions: how many the task has, of which --limit asks a part; None if not known.
        questions_hash: lm-eval's hash of all questions, prompts and gold answers.
        throughput: candidates a second, over all tasks that ran together.
        tolerance: difference from the gold answer that counts as right, a decimal.
        judge: what answers are, such as `number`.
        results: lm-eval's results file.
        samples: its sample log, which holds the pools.
        plain_text: whether its responses are texts of another model, each a candidate of which
            neither thoughts nor tokens are known.
    """

    name: str
    task: str
    task_version: str | None
    date: str
    config: RunConfig
    metrics: Mapping[str, Estimate]
    higher_is_better: Mapping[str, bool]
    questions: int
    task_questions: int | None = None
    questions_hash: str | None
    throughput: float | None
    tolerance: str
    results: Path
    samples: Path
    plain_text: bool = False
    judge: str = "number"

    @property
    def limited(self) -> bool:
        """Whether fewer questions were asked than the task has."""
        return self.task_questions is not None and self.questions < self.task_questions

    def mean(self, metric: str) -> float | None:
        """Return a metric's mean over questions, None where the run does not have it."""
        return self.metrics[metric].value if metric in self.metrics else None

    @property
    def setup_but_seed(self) -> tuple[object, ...]:
        """What two runs share if they differ in their seed at most."""
        config = self.config
        return (
            self.task,
            self.task_version,
            self.questions,
            self.questions_hash,
            self.tolerance,
            self.judge,
            config.checkpoint,
            config.weights_sha256,
            tuple(config.parts.items()),
            config.revision,
            config.backbone,
            config.prompt_format,
            config.samples,
            config.reward_model,
            config.reward_sha256,
            config.dtype,
            tuple((name, repr(value)) for name, value in config.chosen_settings.items()),
            tuple(sorted(config.versions.items())),
        )

    @property
    def setup(self) -> tuple[object, ...]:
        """What two runs share if one repeats the other."""
        return (*self.setup_but_seed, self.config.seed)


@dataclass(frozen=True)
class Problem:
    """Something under the folders that was not used, or is used with a caution.

    Attributes:
        path: the file or folder.
        message: what is wrong and what to do.
        skipped: whether it was left out.
        lost: whether it is a run that could not be read, so that its numbers are not known.
    """

    path: Path
    message: str
    skipped: bool = True
    lost: bool = False

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"
