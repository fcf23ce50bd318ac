"""lm-eval's `LM` interface: what `--model latent_tts` is."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from lm_eval.api.instance import Instance
from lm_eval.api.model import CacheHook
from lm_eval.utils import simple_parse_args_string
from tqdm import tqdm

from ..models import AutoLatentModel, ModelError, load_tokenizer
from ..reward import LatentRewardModel
from ..reward.auto import check_pair
from ..tasks import Pool, find_strategy
from .arguments import read_device, split_arguments
from .base import ProcessLM
from .errors import hide_traceback
from .lm_eval_seam import cached_responses
from .options import RequestOptions, read_options
from .provenance import checkpoint_record, versions
from .requests import AskedQuestion, assign_responses, group_requests
from .sample import sample_pools

_FINGERPRINT = "latent_tts:settings"
DEFAULT_SEED = 1234  # lm-eval's own


class LatentLM(ProcessLM):
    """A latent reasoner that samples N candidates for every request.

    The response to a task that asks for it (`return_pool: true`) is the pool as JSON; to any
    other task it is the text of the aggregated candidate.

    Args:
        pretrained: a folder, a hub id, or the name of a checkpoint that ships.
        **arguments: the other fields of `ModelArguments`, and those of `LatentGenerationConfig`;
            of the latter a request's gen_kwargs win.

    Raises:
        ModelError: a setting that does not exist or is out of its range, or an unusable
            checkpoint.
        RewardError: an unusable reward model, or one that does not fit the backbone.
    """

    def __init__(self, pretrained: str = "tiny-coconut", **arguments: Any) -> None:
        own, given = split_arguments({"pretrained": pretrained, **arguments})
        super().__init__(read_device(own.device))
        self.arguments = own
        self.settings = {"seed": DEFAULT_SEED, **given}
        self.model: Any = AutoLatentModel.from_pretrained(
            own.pretrained,
            backbone=own.backbone,
            revision=own.revision,
            dtype=own.dtype,
            device_map=str(self.device),
            ignore_weights=own.ignore_weights,
        )
        self.model.engine_options = own.engine()
        self.tokenizer = load_tokenizer(own.pretrained, own.revision)
        self.reward_model = self._load_reward_model(own.reward_model)
        self._options({})  # a wrong setting is known before a task is loaded
        self._tasks: dict[str, dict[str, Any]] = {}

    def _load_reward_model(self, name: str | None) -> Any:
        if name is None:
            return None
        revision = self.arguments.reward_revision
        loaded = LatentRewardModel.from_pretrained(
            name,
            revision=revision,
            dtype=self.model.dtype,
            ignore_weights=self.arguments.ignore_weights,
        )
        check_pair(self.model, loaded, self.tokenizer, revision=revision)
        loaded.engine_options = self.model.engine_options
        return loaded.to(self.model.device)

    @classmethod
    def create_from_arg_obj(
        cls, arg_dict: Mapping[str, Any], additional_config: Mapping[str, Any] | None = None
    ) -> "LatentLM":
        """Build for lm-eval, from --model_args; they win over its flags of the same name.

        lm-eval gives --batch_size and --device their defaults where the user wrote none, and both
        may also stand in --model_args. It has just seeded torch with --seed, of which it tells a
        model nothing else.
        """
        hide_traceback()
        flags = {k: v for k, v in (additional_config or {}).items() if v is not None}
        return cls(**{"seed": torch.initial_seed()} | flags | dict(arg_dict))

    @classmethod
    def create_from_arg_string(
        cls, arg_string: str, additional_config: Mapping[str, Any] | None = None
    ) -> "LatentLM":
        """Build for lm-eval, from `key=value,key=value`."""
        return cls.create_from_arg_obj(simple_parse_args_string(arg_string), additional_config)

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Sample a pool for every question.

        A question that lm-eval repeats is sampled once with as many times more candidates, of which
        each response gets its own part: the samples of repeats=2, N=8 are those of N=16.

        Args:
            requests: each with arguments (context, generation_kwargs).
            disable_tqdm: show no progress bar.

        Returns:
            One response a request, in order.
        """
        questions = group_requests(requests)
        groups: dict[tuple[RequestOptions, int], list[AskedQuestion]] = {}
        for question in questions:
            options = self._question_options(question)
            groups.setdefault((options, question.repeats), []).append(question)
        started = time.perf_counter()
        hidden = disable_tqdm or self.rank != 0
        answered: list[tuple[AskedQuestion, list[str]]] = []
        with tqdm(total=len(questions), desc="Sampling", unit="question", disable=hidden) as bar:
            for (options, repeats), members in groups.items():
                answered += self._answer(options, repeats, members, bar)
        samples = sum(
            options.settings.num_return_sequences * repeats * len(members)
            for (options, repeats), members in groups.items()
        )
        self._note_time(time.perf_counter() - started, questions, samples)
        return assign_responses(answered, len(requests))

    def _question_options(self, question: AskedQuestion) -> RequestOptions:
        options = self._options(question.arguments[1])
        beams = options.settings.num_beams if options.settings.beams else None
        if question.repeats > 1 and beams is not None:
            raise ModelError(
                f"repeats={question.repeats} with num_beams={beams}: a beam search is one search a "
                "question. Leave out repeats, or num_beams."
            )
        if question.repeats > 1 and cached_responses(self.cache_hook) is not None:
            raise ModelError(
                "--use_cache keeps one response a request, so repeats would all become the same "
                "one. Use num_return_sequences instead of repeats, or no cache."
            )
        self._tasks[question.task] = {"settings": options.settings.record()}
        return options

    def _options(self, gen_kwargs: Mapping[str, Any]) -> RequestOptions:
        """Return how a request with these generation settings is answered."""
        return read_options(
            self.model,
            self.settings,
            gen_kwargs,
            aggregation=self.arguments.aggregation,
            scored=self.reward_model is not None,
        )

    def _answer(
        self,
        options: RequestOptions,
        repeats: int,
        questions: Sequence[AskedQuestion],
        bar: tqdm,
    ) -> Iterator[tuple[AskedQuestion, list[str]]]:
        """Sample questions that share options, and yield the `repeats` responses to each."""
        count = options.settings.num_return_sequences
        settings = replace(options.settings, num_return_sequences=count * repeats)
        responses: dict[int, list[str]] = {}

        def done(index: int, pool: Pool) -> None:
            question = questions[index]
            parts = [
                Pool(pool.candidates[start : start + count], pool.beams, pool.question)
                for start in range(0, count * repeats, count)
            ]
            responses[index] = [_respond(part, options) for part in parts]
            # At once, so that a run that is killed loses nothing.
            self.cache_hook.add_partial("generate_until", question.arguments, responses[index][0])
            bar.update()

        sample_pools(
            self.model,
            self.tokenizer,
            [question.prompt for question in questions],
            options.settings if repeats == 1 else settings,
            ids=[question.id for question in questions],
            reward_model=self.reward_model,
            batch_size=self.arguments.questions_together,
            until=options.until,
            done=done,
        )
        for index, question in enumerate(questions):
            yield question, responses[index]

    def _note_time(self, seconds: float, questions: Sequence[AskedQuestion], samples: int) -> None:
        names = sorted({question.task for question in questions})
        for name in names:
            self._tasks[name]["throughput"] = {
                "tasks_together": names,
                "seconds": round(seconds, 3),
                "samples": samples,
            }

    def set_cache_hook(self, cache_hook: CacheHook) -> None:
        """Take lm-eval's cache, unless other settings filled it.

        lm-eval's cache knows a response by its prompt and gen_kwargs alone, so without this a run
        with another checkpoint, seed or sampler would be answered from the old one.

        Raises:
            ModelError: the cache was filled under other settings.
        """
        super().set_cache_hook(cache_hook)
        store = cached_responses(cache_hook)
        if store is None:
            return
        names = ("checkpoint", "reward_model", "settings", "aggregation")
        record = self._record()
        ours = json.dumps(
            {name: record[name] for name in names}
            # What was given too: a task's gen_kwargs may choose a sampler that it is for.
            | {"given": self.settings, "dtype": str(self.model.dtype)},
            sort_keys=True,
        )
        theirs = store.get(_FINGERPRINT)
        if theirs is None and not len(store):
            store[_FINGERPRINT] = theirs = ours
        if theirs != ours:
            file = getattr(store, "filename", "")
            raise ModelError(
                f"The cache {file!r} was filled under other settings: "
                f"{theirs}; now: {ours}. Name another --use_cache file, or repeat that command."
            )

    @property
    def tokenizer_name(self) -> str:
        """Name the tokenizer, for lm-eval's request cache."""
        return self.arguments.pretrained.replace("/", "__")

    def get_model_info(self) -> dict[str, Any]:
        """Return what lm-eval writes into the results file: all that produced the numbers."""
        return {
            "model_num_parameters": self.model.num_parameters(),
            "model_dtype": str(self.model.dtype),
            "model_revision": self.arguments.revision,
            "latent_tts": self._record()
            | {
                "tasks": self._tasks,
                "processes": self.world_size,
                "device": str(self.model.device),
                "versions": versions(),
            },
        }

    def _record(self) -> dict[str, Any]:
        """Return what determines the samples, before a task's gen_kwargs."""
        own, guide = self.arguments, self.reward_model
        return {
            "checkpoint": checkpoint_record(self.model, own.pretrained, own.revision),
            "reward_model": None
            if guide is None
            else checkpoint_record(guide, str(own.reward_model), own.reward_revision),
            "backbone": self.model.backbone,
            "prompt_format": self.model.format_prompt("{question}"),
            "aggregation": self._options({}).aggregation,
            "settings": self.model.settings(**self.settings).record(),
        }


def _respond(pool: Pool, options: RequestOptions) -> str:
    if options.return_pool:
        return pool.to_json()
    chosen = find_strategy(options.aggregation).pick(pool)
    # Where no answer could be read the task may still find one in the text.
    return (pool.candidates[0] if chosen is None else chosen).text
