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
    """Start the published code, and give a function that lets it sample; None without `code`."""
    if code is None:
        yield None
        return
    if not (code / "src/generation_mixin.py").exists():
        needed = "a clone of the published code, with its src/generation_mixin.py"
        raise ModelError(f"reference={code}; it must be {needed}.")
    start = model.get_input_embeddings().num_embeddings - 3  # after this id that code thinks
    prompt = torch.cat((input_ids[:, :-1], torch.full_like(input_ids[:, -1:], start)), dim=1)
    setting = {
        "code": str(code),
        "prompts": prompt.tolist(),
        "thoughts": THOUGHTS,
        "new_tokens": NEW_TOKENS,
        "start_id": start,
        "device": str(model.device),
    }
    command = [python or sys.executable, str(_SERVER)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    try:
        with TemporaryDirectory() as folder, subprocess.Popen(command, **pipes) as process:
            try:
                model.save_pretrained(folder)
                print(json.dumps(setting | {"checkpoint": folder}), file=process.stdin, flush=True)
                yield lambda given: _ask(process, given)
            finally:
                process.kill()
    except (OSError, json.JSONDecodeError) as error:
        message = f"The published code does not answer ({error}); what it said stands above. Has "
        message += f"{command[0]} its requirements? Name another by --reference-python."
        raise ModelError(message) from error


def _ask(process: Any, given: LatentSettings) -> Any:
    names = ("latent_do_sample_by", given.sampler.strength)
    question = {name: given.record()[name] for name in names}
    question |= {"latent_do_sample": True, "count": given.num_return_sequences}
    print(json.dumps(question), file=process.stdin, flush=True)
    return json.loads(process.stdout.readline())
