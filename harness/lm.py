"""lm-eval's `LM` interface: what `--model latent_tts` is."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from itertools import cycle
from typing import Any, ClassVar

import torch
from lm_eval.api.instance import Instance
from lm_eval.api.model import CacheHook
from lm_eval.utils import simple_parse_args_string
from tqdm import tqdm

from ..models import AutoLatentModel, EngineOptions, ModelError, load_tokenizer
from ..models.config import check_names
from ..reward import LatentRewardModel
from ..reward.auto import check_pair
from ..tasks import Pool, aggregate, check_strategy
from .arguments import read_batch_size, read_device
from .base import ProcessLM
from .errors import hide_traceback
from .options import RequestOptions, read_options
from .processes import process_state
from .record import checkpoint_record, versions
from .sampling import draw_pools

_FINGERPRINT = "latent_tts:settings"


class LatentLM(ProcessLM):
    """A latent reasoner that samples N candidates for every request.

    The response to a task that asks for it (`return_pool: true`) is the pool as JSON; to any
    other task it is the text of the aggregated candidate.

    Args:
        pretrained: a folder, a hub id, or the name of a checkpoint that ships.
        backbone: `coconut`, `codi` or `colar`; found from the checkpoint if None.
        revision: of a hub repository.
        dtype: float32 on CPU unless given; the checkpoint's own on an accelerator.
        device: such as `cuda:0`; the CPU where there is no such accelerator.
        device_map: as in transformers, but one device; wins over `device`.
        batch_size: most questions in the batch, or `auto` for as many as fit.
        max_batch_size: the same under `auto`.
        reward_model: a LatentRM that scores every candidate, and guides beam search.
        reward_revision: of the reward model's hub repository.
        aggregation: how candidates become one text for tasks that do not ask for pools; `majority`
            if None, or `beam_search` where `num_beams` asks for one.
        packed_weights, drafts, torch_compile, max_rows: how samples are computed, see
            `EngineOptions`.
        **settings: the fields of `LatentGenerationConfig`; a request's gen_kwargs win over them.

    Raises:
        ModelError: a setting that does not exist or is out of its range, or an unusable
            checkpoint.
        RewardError: an unusable reward model, or one that does not fit the backbone.
    """

    default_backbone: ClassVar[str | None] = None

    def __init__(
        self,
        pretrained: str = "tiny-coconut",
        *,
        backbone: str | None = None,
        revision: str = "main",
        dtype: str | torch.dtype | None = None,
        device: str | None = None,
        device_map: Any = None,
        batch_size: int | str | None = 1,
        max_batch_size: int | None = None,
        reward_model: str | None = None,
        reward_revision: str = "main",
        aggregation: str | None = None,
        packed_weights: bool = True,
        drafts: bool = True,
        torch_compile: bool | str = False,
        max_rows: int | None = None,
        **settings: Any,
    ) -> None:
        super().__init__()
        hide_traceback()
        check_names(
            settings,
            also=(
                "pretrained",
                "backbone",
                "revision",
                "dtype",
                "device",
                "device_map",
                "batch_size",
                "max_batch_size",
                "reward_model",
                "reward_revision",
                "aggregation",
                *(field.name for field in fields(EngineOptions)),
            ),
        )
        self.engine = EngineOptions(
            packed_weights=packed_weights,
            drafts=drafts,
            torch_compile=torch_compile,
            max_rows=max_rows,
        )
        if aggregation is not None:
            check_strategy(aggregation)
        self.batch_size = read_batch_size(batch_size)
        self.max_batch_size = read_batch_size(max_batch_size, name="max_batch_size")
        self.aggregation = aggregation
        # lm-eval reads a name or a commit that is all digits as a number.
        self.pretrained, self.revision = str(pretrained), str(revision)
        self._device = read_device(device)
        state = process_state(cpu=self._device.type == "cpu")
        self._rank, self._world_size = state.process_index, state.num_processes
        if self._world_size > 1 and self._device.type != "cpu":
            self._device = state.device
        self.model = AutoLatentModel.from_pretrained(
            self.pretrained,
            backbone=backbone or self.default_backbone,
            revision=self.revision,
            dtype=dtype,
            device_map=device_map or str(self._device),
        )
        self.model.engine = self.engine
        self.tokenizer = load_tokenizer(self.pretrained, self.revision)
        self.reward_name, self.reward_revision = str(reward_model), str(reward_revision)
        self.reward_model = None if reward_model is None else self._load_reward_model()
        self.settings = settings
        self._default_aggregation()  # a wrong setting is known before a task is loaded
        self._runs: dict[str, Any] = {}

    def _load_reward_model(self) -> Any:
        loaded = LatentRewardModel.from_pretrained(
            self.reward_name, revision=self.reward_revision, dtype=self.model.dtype
        )
        check_pair(self.model, loaded, self.tokenizer, revision=self.reward_revision)
        loaded.engine = self.engine
        return loaded.to(self.model.device)

    @property
    def scores(self) -> bool:
        """Whether candidates are scored by a reward model."""
        return self.reward_model is not None

    @classmethod
    def create_from_arg_obj(
        cls, arg_dict: Mapping[str, Any], additional_config: Mapping[str, Any] | None = None
    ) -> "LatentLM":
        """Build from --model_args; they win over lm-eval's flags of the same name.

        lm-eval gives --batch_size and --device their defaults where the user wrote none, and both
        may also stand in --model_args.
        """
        flags = {k: v for k, v in (additional_config or {}).items() if v is not None}
        return cls(**(flags | dict(arg_dict)))

    @classmethod
    def create_from_arg_string(
        cls, arg_string: str, additional_config: Mapping[str, Any] | None = None
    ) -> "LatentLM":
        """Build from `key=value,key=value`."""
        return cls.create_from_arg_obj(simple_parse_args_string(arg_string), additional_config)

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Sample a pool for every request.

        A request that lm-eval repeats is sampled once with as many times more candidates, of which
        each copy gets its own part: the samples of repeats=2, N=8 are those of N=16.

        Args:
            requests: each with arguments (context, generation_kwargs).
            disable_tqdm: show no progress bar.

        Returns:
            One response a request, in order.
        """
        unique = list({id(request): request for request in requests}.values())
        self._refuse_cached_repeats(unique)
        groups: dict[tuple[RequestOptions, int], list[Instance]] = {}
        for request in unique:
            groups.setdefault((self._options(request), request.repeats or 1), []).append(request)
        responses: dict[int, list[str]] = {}
        started = time.perf_counter()
        with tqdm(
            total=len(unique),
            desc="Sampling",
            unit="question",
            disable=disable_tqdm or self.rank != 0,
        ) as bar:
            for (options, count), members in groups.items():
                responses |= self._run_group(options, count, members, bar)
        self._note_time(time.perf_counter() - started, unique, groups)
        # With several processes the last request also comes as padding: the same parts again.
        parts = {place: cycle(texts) for place, texts in responses.items()}
        return [next(parts[id(request)]) for request in requests]

    def _options(self, request: Instance) -> RequestOptions:
        options = read_options(
            self.model,
            self._own_settings(),
            request.args[1],
            aggregation=self.aggregation,
            scored=self.scores,
        )
        if options.settings.beams and (request.repeats or 1) > 1:
            raise ModelError(
                f"repeats={request.repeats} with num_beams={options.settings.num_beams}: a beam "
                "search is one search a question. Leave out repeats, or num_beams."
            )
        self._runs[str(request.task_name)] = {"settings": asdict(options.settings)}
        return options

    def _default_aggregation(self) -> str:
        """Return how candidates become one where a task's gen_kwargs say nothing."""
        options = read_options(
            self.model, self._own_settings(), {}, aggregation=self.aggregation, scored=self.scores
        )
        return options.aggregation

    def _own_settings(self) -> dict[str, Any]:
        # lm-eval hands --seed to torch and to nobody else.
        return {"seed": torch.initial_seed(), **self.settings}

    def _resolved_settings(self) -> dict[str, Any]:
        """Return all settings before a task's gen_kwargs, the checkpoint's own among them."""
        return asdict(self.model.settings(**self._own_settings()))

    def _run_group(
        self, options: RequestOptions, count: int, members: Sequence[Instance], bar: tqdm
    ) -> dict[int, list[str]]:
        """Sample the requests that share options; `count` responses for each."""
        each = options.settings.num_return_sequences
        responses: dict[int, list[str]] = {}

        def done(place: int, pool: Pool) -> None:
            request = members[place]
            parts = [
                Pool(pool.candidates[start : start + each], pool.beams)
                for start in range(0, each * count, each)
            ]
            texts = [_respond(part, options) for part in parts]
            responses[id(request)] = texts
            self.cache_hook.add_partial("generate_until", request.args, texts[0])
            bar.update()

        draw_pools(
            self.model,
            self.tokenizer,
            [request.args[0] for request in members],
            options.settings
            if count == 1
            else replace(options.settings, num_return_sequences=each * count),
            reward_model=self.reward_model,
            batch_size=self.batch_size or self.max_batch_size,
            until=options.until,
            done=done,
        )
        return responses

    def _note_time(
        self, seconds: float, unique: Sequence[Instance], groups: Mapping[Any, Sequence[Instance]]
    ) -> None:
        samples = sum(
            options.settings.num_return_sequences * count * len(members)
            for (options, count), members in groups.items()
        )
        for name in {str(request.task_name) for request in unique}:
            self._runs[name]["throughput"] = {
                "tasks_together": sorted({str(request.task_name) for request in unique}),
                "seconds": round(seconds, 3),
                "samples": samples,
            }

    def _refuse_cached_repeats(self, requests: Sequence[Instance]) -> None:
        repeated = any((request.repeats or 1) > 1 for request in requests)
        if self.cache_hook.dbdict is not None and repeated:
            raise ModelError(
                "--use_cache keeps one response a request, so repeats would all become the same "
                "one. Use num_return_sequences instead of repeats, or no cache."
            )

    def set_cache_hook(self, cache_hook: CacheHook) -> None:
        """Take lm-eval's cache, unless other settings filled it.

        lm-eval's cache knows a response by its prompt and gen_kwargs alone, so without this a run
        with another checkpoint, seed or sampler would be answered from the old one.

        Raises:
            ModelError: the cache was filled under other settings.
        """
        super().set_cache_hook(cache_hook)
        if cache_hook.dbdict is None:
            return
        ours = json.dumps(
            {
                "checkpoint": self._checkpoint(),
                "reward_model": self._reward_checkpoint(),
                "settings": self._resolved_settings(),
                "aggregation": self._default_aggregation(),
                "dtype": str(self.model.dtype),
            },
            sort_keys=True,
        )
        theirs = cache_hook.dbdict.get(_FINGERPRINT)
        if theirs is None and not len(cache_hook.dbdict):
            cache_hook.dbdict[_FINGERPRINT] = theirs = ours
        if theirs != ours:
            raise ModelError(
                f"The cache {cache_hook.dbdict.filename!r} was filled under other settings: "
                f"{theirs}; now: {ours}. Name another --use_cache file, or repeat that command."
            )

    @property
    def tokenizer_name(self) -> str:
        """Name the tokenizer, for lm-eval's request cache."""
        return self.pretrained.replace("/", "__")

    def get_model_info(self) -> dict[str, Any]:
        """Return what lm-eval writes into the results file: all that produced the numbers."""
        return {
            "model_num_parameters": self.model.num_parameters(),
            "model_dtype": str(self.model.dtype),
            "model_revision": self.revision,
            "latent_tts": {
                "checkpoint": self._checkpoint(),
                "reward_model": self._reward_checkpoint(),
                "backbone": self.model.backbone,
                "prompt_format": self.model.format_prompt("{question}"),
                "aggregation": self._default_aggregation(),
                "settings": self._resolved_settings(),
                "tasks": self._runs,
                "processes": self.world_size,
                "device": str(self.model.device),
                "versions": versions(),
            },
        }

    def _checkpoint(self) -> dict[str, Any]:
        return checkpoint_record(self.model, self.pretrained, self.revision)

    def _reward_checkpoint(self) -> dict[str, Any] | None:
        if self.reward_model is None:
            return None
        return checkpoint_record(self.reward_model, self.reward_name, self.reward_revision)


class CoconutLM(LatentLM):
    """`--model latent_tts_coconut`."""

    default_backbone = "coconut"


class CodiLM(LatentLM):
    """`--model latent_tts_codi`."""

    default_backbone = "codi"


class ColarLM(LatentLM):
    """`--model latent_tts_colar`."""

    default_backbone = "colar"


def _respond(pool: Pool, options: RequestOptions) -> str:
    if options.return_pool:
        return pool.to_json()
    chosen = aggregate(pool, options.aggregation)
    # Where no answer could be read the task may still find one in the text.
    return (pool.candidates[0] if chosen is None else chosen).text
