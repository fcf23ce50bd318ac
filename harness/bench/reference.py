"""The published code, on the same weights and prompt, in a process and a Python of its own."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from ...models import LatentSettings, ModelError
from .work import NEW_TOKENS, THOUGHTS

_SERVER = Path(__file__).with_name("server.py")
Ask = Callable[[LatentSettings], list[list[int]]]


@contextmanager
def published(
    code: Path | None, python: str | None, model: Any, input_ids: torch.Tensor
) -> Iterator[Ask | None]:
    """Start the published code, and give a function that lets it sample; None without `code`.

    Raises:
        ModelError: a folder without the code, or its failure.
    """
    if code is None:
        yield None
        return
    if not (code / "src/generation_mixin.py").exists():
        raise ModelError(
            f"reference={code}; it must be a clone of the published code, with its "
            "src/generation_mixin.py."
        )
    with TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        start = model.get_input_embeddings().num_embeddings - 3
        setting = {
            "code": str(code),
            "checkpoint": folder,
            "prompts": torch.cat((input_ids[:, :-1], input_ids[:, -1:] * 0 + start), 1).tolist(),
            "thoughts": THOUGHTS,
            "new_tokens": NEW_TOKENS,
            "start_id": start,  # after which the published code thinks
            "end_id": start + 1,
            # No tokens of the vocabulary: answers of random weights hold any of these by chance.
            "latent_id": start + 3,
            "eos_id": start + 4,
            "threads": torch.get_num_threads(),
            "device": str(model.device),
            "dtype": str(model.dtype).removeprefix("torch."),
        }
        with _started(python or sys.executable, setting) as answer:
            yield lambda given: answer(_question(given))


def _question(given: LatentSettings) -> dict[str, Any]:
    record = given.record()
    names = ("latent_do_sample", "latent_do_sample_by", given.sampler.strength)
    return {"count": given.num_return_sequences} | {name: record[name] for name in names}


@contextmanager
def _started(python: str, setting: dict[str, Any]) -> Iterator[Callable[[Any], Any]]:
    try:
        process = subprocess.Popen(
            [python, str(_SERVER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
    except OSError as error:
        raise ModelError(
            f"reference_python={python!r} cannot be started: {error}. Give a Python in which the "
            "published code's requirements are installed."
        ) from error
    questions: Any = process.stdin
    answers: Any = process.stdout

    def ask(question: Any) -> Any:
        try:
            print(json.dumps(question), file=questions, flush=True)
            return json.loads(answers.readline())
        except (BrokenPipeError, ValueError) as error:
            raise ModelError(
                "The published code has stopped; its own message stands above. Does "
                f"{python} have its requirements?"
            ) from error

    with process:
        try:
            print(json.dumps(setting), file=questions, flush=True)
            yield ask
        finally:
            process.kill()
