"""The engine against the published code, on the same weights and prompts."""

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from ....models import ModelError
from ....models.tokens import LatentTokens
from ..measures import Run, Spread, interleaved
from ..setup import Setup
from ..work import SAMPLERS

_SERVER = Path(__file__).with_name("server.py")
_STRENGTHS = {"noise": "noise_std", "dropout": "dropout_p"}
Ask = Callable[..., list[list[int]]]


def compare_reference(setup: Setup) -> Iterator[dict[str, Any]]:
    """Measure each N with each sampler that the published code has, in turn with that code.

    It runs in a process and a Python of its own, with as many threads, and waits while the engine
    samples. Both first answer without sampling, and must answer the same.

    Yields:
        A row for each setting; `ratio_to_reference` is of samples per second.

    Raises:
        ModelError: no published code, its failure, or other answers than the engine's.
    """
    if setup.reference is None or not (setup.reference / "src/generation_mixin.py").exists():
        raise ModelError(
            f"reference={setup.reference}; it must be a clone of the published code, with its "
            "src/generation_mixin.py. Give its folder by --reference, and by --reference-python a "
            "Python in which its requirements are installed."
        )
    work = setup.work
    model = work.model(setup.device, setup.dtype)
    start, end, placeholder = range(work.vocabulary - 3, work.vocabulary)
    model.latent_tokens = LatentTokens(end, placeholder, eos=(), pad=0)
    input_ids = setup.input_ids.clone()
    input_ids[:, -1] = start  # after which the published code thinks
    with TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        setting = {
            "code": str(setup.reference),
            "checkpoint": folder,
            "prompts": input_ids.tolist(),
            "thoughts": work.thoughts,
            "new_tokens": work.new_tokens,
            "start_id": start,
            "end_id": end,
            # No tokens of the vocabulary: answers of random weights hold any of these by chance.
            "latent_id": work.vocabulary,
            "eos_id": work.vocabulary + 1,
            "threads": torch.get_num_threads(),
            "device": str(setup.device),
            "dtype": str(setup.dtype).removeprefix("torch."),
        }
        with _published(setup, setting) as ask:
            once = replace(work.settings(model, "noise", 1), latent_do_sample=False)
            answers = slice(work.prompt_tokens + work.thoughts, None)
            ours = model.generate(input_ids, **vars(once))[:, answers].tolist()
            if ours != [row[answers] for row in ask(count=1)]:
                raise ModelError(
                    f"The published code in {setup.reference} answers otherwise than the engine, "
                    "without sampling and on the same weights: their speeds cannot be compared."
                )
            for count, sampler in product(setup.counts, setup.samplers):
                if sampler != "dropout-thoughts":  # the published code drops in prompts as well
                    yield _row(setup, model, input_ids, ask, sampler, count)


def _row(
    setup: Setup, model: Any, input_ids: torch.Tensor, ask: Ask, sampler: str, count: int
) -> dict[str, Any]:
    kind, scope = SAMPLERS[sampler]
    settings = setup.work.settings(model, sampler, count)
    strength = {_STRENGTHS[kind]: getattr(settings, _STRENGTHS[kind])}
    asked = {"latent_do_sample": True, "latent_do_sample_by": kind, **strength}
    ways: dict[str, Run] = {
        "engine": lambda: model.generate(input_ids, **vars(settings)),
        "reference": lambda: ask(count=count, **asked),
    }
    interleaved(setup.device, ways, rounds=1)  # warm up
    taken = interleaved(setup.device, ways, rounds=setup.rounds)
    speeds = {name: [len(input_ids) * count / own for own in taken[name]] for name in ways}
    return {
        "sampler": kind,
        "scope": scope,
        "num_return_sequences": count,
        **Spread.of(speeds["engine"]).fields("samples_per_s"),
        **Spread.of(speeds["reference"]).fields("reference_samples_per_s"),
        **Spread.of_ratios(speeds["engine"], speeds["reference"]).fields("ratio_to_reference"),
    }


@contextmanager
def _published(setup: Setup, setting: dict[str, Any]) -> Iterator[Ask]:
    """Start the published code, and give a function that lets it sample N rows a prompt."""
    command = [setup.reference_python, str(_SERVER)]
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )
    except OSError as error:
        raise ModelError(
            f"reference_python={setup.reference_python!r} cannot be started: {error}. Give a "
            "Python in which the published code's requirements are installed."
        ) from error
    questions: Any = process.stdin
    answers: Any = process.stdout

    def tell(line: dict[str, Any]) -> None:
        print(json.dumps(line), file=questions, flush=True)

    def ask(**question: Any) -> list[list[int]]:
        try:
            tell(question)
            return json.loads(answers.readline())
        except (BrokenPipeError, ValueError) as error:
            raise ModelError(
                "The published code has stopped; its own message stands above. Does "
                f"{setup.reference_python} have its requirements?"
            ) from error

    with process:
        try:
            tell(setting)
            yield ask
        finally:
            process.kill()
