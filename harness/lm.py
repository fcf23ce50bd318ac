"""lm-eval's `LM` interface: what `--model latent_tts` is."""

import logging
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from lm_eval.api.instance import Instance
from lm_eval.api.model import CacheHook
from lm_eval.utils import simple_parse_args_string

from ..models import ModelError
from .arguments import read_device, split_arguments
from .base import ProcessLM
from .cache import ResponseCache
from .command_line import (
    as_typed,
    check_log_room,
    check_prompts,
    default_store,
    heed_flags,
    watch_results,
)
from .errors import hide_traceback
from .fewshot import check_shots
from .lm_eval_seam import cached_responses, evaluate_arguments, logger, runs_lm_eval
from .loaded import load
from .options import RequestOptions, read_options
from .provenance import checkpoint_record, typed_command, versions
from .requests import AskedQuestion, assign_responses, group_requests, is_ours
from .responses import Asked, Report, respond
from .shared import help_out, idle_share
from .team import Shift

DEFAULT_SEED = 1234  # lm-eval's own
# Bytes of a candidate without its text, of a step's reward, and of a token that is mixed.
_LOGGED, _LOGGED_REWARD, _LOGGED_MIXED = 170, 20, 16


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
        if own.store is None:
            own = replace(own, store=default_store())
        super().__init__(read_device(own.device))
        self.arguments = own
        self.settings = {"seed": DEFAULT_SEED, **given}
        self._loaded = load(own, self.device, given.get("latent_length"))
        self.model, self.tokenizer = self._loaded.model, self._loaded.tokenizer
        self.reward_model = self._loaded.reward_model
        self._cache: ResponseCache | None = None
        self._own_options()  # a wrong setting is known before a task is loaded
        self._tasks: dict[str, dict[str, Any]] = {}

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
        defaults = {k: v for k, v in (additional_config or {}).items() if v is not None}
        given = heed_flags(arg_dict, defaults)
        if isinstance(arg_dict, dict):
            # lm-eval names the folder of results after what stands here; else at random.
            arg_dict.update(given)
        lm = cls(**{"seed": torch.initial_seed()} | defaults | given)
        if runs_lm_eval() and not lm.team.leads:
            logger.setLevel(logging.ERROR)  # what is to be said, the first process says
            with lm.team.begin() as shift:
                help_out(lm._loaded, shift)
            sys.exit(0)  # the first process does all that is left
        watch_results()
        return lm

    @classmethod
    def create_from_arg_string(
        cls, arg_string: str, additional_config: Mapping[str, Any] | None = None
    ) -> "LatentLM":
        """Build for lm-eval, from `key=value,key=value`."""
        given = simple_parse_args_string(arg_string)
        return cls.create_from_arg_obj(given | as_typed(given, [arg_string]), additional_config)

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Sample a pool for every question.

        A question that lm-eval repeats is sampled once with as many times more candidates, of which
        each response gets its own part: the samples of repeats=2, N=8 are those of N=16.

        Args:
            requests: each with arguments (context, generation_kwargs).
            disable_tqdm: show no progress bar.

        Returns:
            One response a request, in order.

        Raises:
            ModelError: a wrong setting, or a prompt that is too long.
        """
        with self.team.begin() as shift:
            if not self.team.leads:
                help_out(self._loaded, shift)
                responses: list[str] = shift.told("responses")
                return responses
            return shift.told("responses", self._respond(requests, shift, hidden=disable_tqdm))

    def _respond(self, requests: list[Instance], shift: Shift, *, hidden: bool) -> list[str]:
        """Return the responses to requests, with the help of other processes."""
        if not all(map(is_ours, requests)):  # a task of this project refuses by itself
            check_prompts(evaluate_arguments(), dashes="")
        check_shots(self.model, requests)
        questions = group_requests(requests)
        asked = [(question, self._question_options(question)) for question in questions]
        mixed = self._loaded.mixtures
        check_log_room(sum(_logged_bytes(*one, mixtures=mixed) for one in asked))
        started = time.perf_counter()
        report = respond(self._loaded, asked, cache=self._cache, hidden=hidden, shift=shift)
        self._note(asked, report, seconds=time.perf_counter() - started)
        answered = [(question, report.responses[i]) for i, question in enumerate(questions)]
        return assign_responses(answered, len(requests))

    def _question_options(self, question: AskedQuestion) -> RequestOptions:
        options = self._options(question.arguments[1])
        if question.repeats > 1 and options.settings.beams:
            raise ModelError(
                f"repeats={question.repeats} with num_beams={options.settings.num_beams}: a beam "
                "search is one search a question. Leave out repeats, or num_beams."
            )
        if question.repeats > 1 and options.stop:
            raise ModelError(
                f"repeats={question.repeats} with stop={options.stop.rule.name}: a response for "
                "each repeat would need samples of its own. Leave out repeats, and give "
                "num_return_sequences as many."
            )
        if question.repeats > 1 and self._cache is not None:
            raise ModelError(
                "--use_cache keeps one response a request, so repeats would all become the same "
                "one. Use num_return_sequences instead of repeats, or no cache."
            )
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

    def _own_options(self) -> RequestOptions:
        """Return how requests without settings of their own are answered."""
        with warnings.catch_warnings():  # what is unread here may be for a task's gen_kwargs
            warnings.filterwarnings("ignore", message=r".* changes nothing ")
            return self._options({})

    def _note(self, asked: Sequence[Asked], report: Report, *, seconds: float) -> None:
        """Record how each task was answered, and how fast if anything was sampled for it."""
        settings = {question.task: options.record() for question, options in asked}
        speed = {"tasks_together": sorted(settings), "seconds": round(seconds, 3)}
        speed |= {"samples": report.drawn, "processes": self.team.size}
        if self.team.size > 1:  # of the time of all until the last of them had nothing left
            speed["idle_share"] = round(idle_share(report.busy), 4)
        for name, own in settings.items():
            self._tasks[name] = {"settings": own}
            if report.drawn:
                self._tasks[name]["throughput"] = speed
            if report.long[name]:
                self._tasks[name]["long_prompts_skipped"] = report.long[name]

    def set_cache_hook(self, cache_hook: CacheHook) -> None:
        """Take lm-eval's cache, unless other settings filled it.

        Raises:
            ModelError: the cache was filled under other settings.
        """
        super().set_cache_hook(cache_hook)
        store = cached_responses(cache_hook)
        self._cache = None
        if store is None or not self.team.leads:
            return
        record, names = self._record(), ("checkpoint", "reward_model", "settings", "aggregation")
        own = {name: record[name] for name in names} | {"dtype": str(self.model.dtype)}
        own["nearest_tokens"] = self.arguments.nearest_tokens or None  # they stand in responses
        own["mixtures"] = self._loaded.mixtures or None
        # What was given too: a task's gen_kwargs may choose a sampler that it is for.
        self._cache = ResponseCache(store, own | {"given": self.settings})

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
                "device": str(self.model.device),
                "command": typed_command(),
                "versions": versions(),
            },
        }

    def _record(self) -> dict[str, Any]:
        """Return what determines the samples, before a task's gen_kwargs."""
        own, scorer, options = self.arguments, self.reward_model, self._own_options()
        return {
            "checkpoint": checkpoint_record(self.model, own.pretrained, own.revision)
            | own.unseen(),
            "reward_model": scorer
            and checkpoint_record(scorer, str(own.reward_model), own.reward_revision),
            "backbone": self.model.backbone,
            "prompt_format": self.model.format_prompt("{question}"),
            "aggregation": options.aggregation,
            "settings": options.record(),
        }


def _logged_bytes(question: AskedQuestion, options: RequestOptions, *, mixtures: bool) -> int:
    """Return what a question's candidates take in lm-eval's log at most, which has them twice."""
    own = options.settings
    each = _LOGGED + 4 * own.max_new_tokens + _LOGGED_REWARD * own.thought_limit
    if mixtures and own.mixing is not None:
        each += _LOGGED_MIXED * own.mixing.mixture_size * own.thought_limit
    return 2 * each * question.repeats * own.num_return_sequences
