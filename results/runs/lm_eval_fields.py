"""The fields of lm-eval's results file.

The same types are read and written, so that an imported run is no other kind of run.
"""

from typing import Annotated

import msgspec

Count = Annotated[int, msgspec.Meta(ge=1)]


class Model(msgspec.Struct, omit_defaults=True):
    """A checkpoint or a reward model."""

    name: str | None = None
    revision: str | None = None
    commit: str | None = None
    weights_sha256: str | None = None
    base: str | None = None
    base_commit: str | None = None
    base_sha256: str | None = None
    base_tokenizer_sha256: str | None = None
    adapter: str | None = None
    adapter_commit: str | None = None
    adapter_sha256: str | None = None
    lora_alpha: float | None = None
    embeds_std: float | None = None
    ignore_weights: str | None = None

    @property
    def parts(self) -> dict[str, str]:
        """What was read beside the checkpoint itself, with digests, and how it was read."""
        found = {
            "base": self.base,
            "base_commit": self.base_commit,
            "base_sha256": self.base_sha256,
            "base_tokenizer_sha256": self.base_tokenizer_sha256,
            "adapter": self.adapter,
            "adapter_commit": self.adapter_commit,
            "adapter_sha256": self.adapter_sha256,
            "lora_alpha": self.lora_alpha,
            "embeds_std": self.embeds_std,
            "ignore_weights": self.ignore_weights,
        }
        return {name: str(value) for name, value in found.items() if value is not None}


class Throughput(msgspec.Struct):
    """Candidates and seconds of all tasks that ran together."""

    samples: float
    seconds: float


class Sampled(msgspec.Struct):
    """How one task's candidates were sampled."""

    settings: dict[str, object] | None = None
    throughput: Throughput | None = None


class Made(msgspec.Struct, omit_defaults=True):
    """What this project's model writes of itself, `config.latent_tts`."""

    checkpoint: Model | None = None
    backbone: str | None = None
    prompt_format: str | None = None
    command: list[str] | None = None
    settings: dict[str, object] | None = None
    reward_model: Model | None = None
    tasks: dict[str, Sampled] = {}
    device: str | None = None
    versions: dict[str, object] | None = None


class Config(msgspec.Struct, omit_defaults=True):
    """What lm-eval was told, `config`."""

    model: object = None
    model_args: object = None
    model_revision: object = None
    model_sha: object = None
    device: object = None
    latent_tts: Made | None = None
    model_num_parameters: int | None = None
    model_dtype: str | None = None
    torch_seed: int | None = None
    gen_kwargs: object = None
    limit: object = None


class TaskConfig(msgspec.Struct, omit_defaults=True):
    """A task's YAML, filled in."""

    task: object = None
    repeats: Count | None = None
    generation_kwargs: dict[str, object] | None = None
    num_fewshot: int | None = None
    metadata: dict[str, object] | None = None


class Asked(msgspec.Struct):
    """How many questions a task has, and how many were asked."""

    original: int
    effective: int


class ResultsFile(msgspec.Struct, omit_defaults=True):
    """lm-eval's results file, without what describes the machine."""

    results: dict[str, dict[str, object]]
    configs: dict[str, TaskConfig]
    config: Config
    versions: dict[str, object]
    asked: dict[str, Asked] = msgspec.field(name="n-samples")
    higher_is_better: dict[str, dict[str, bool | None]] = {}
    task_hashes: dict[str, str] | None = None
    chat_template_sha: str | None = None
    system_instruction_sha: str | None = None
    model_name: object = None
    model_name_sanitized: object = None
