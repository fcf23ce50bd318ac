"""What an `LM` of this project is apart from sampling: one of several processes, and no chat."""

from typing import Any

import torch
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM

from ..models import ModelError
from .processes import process_state


class ProcessLM(LM):
    """An `LM` whose questions may be spread over processes, and which refuses what is not its kind.

    Subclasses set `_rank`, `_world_size` and `_device`.
    """

    _device: torch.device

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        """Refuse: a latent reasoner has no likelihood of a given text after sampled thoughts."""
        raise ModelError(
            "latent_tts answers generate_until tasks only; this task asks for log-likelihoods. "
            "Choose a task whose output_type is generate_until."
        )

    def loglikelihood_rolling(self, requests: list[Instance]) -> list[float]:
        """Refuse, as `loglikelihood` does."""
        self.loglikelihood(requests)
        return []

    def all_gather(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return the tensors of all processes, concatenated."""
        if self.world_size <= 1:
            return tensor
        from accelerate.utils import gather

        return gather(tensor)

    def gather_object(self, obj: Any, dst: int = 0) -> list[Any] | None:
        """Return the objects of all processes on process `dst`, None on the others."""
        if self.world_size <= 1:
            return [obj]
        objects: list[Any] | None = [None] * self.world_size if self.rank == dst else None
        torch.distributed.gather_object(obj, objects, dst=dst)
        return objects

    def barrier(self) -> None:
        """Wait for all processes."""
        process_state(cpu=self._device.type == "cpu").wait_for_everyone()

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """Refuse: a backbone was trained on its own prompt format alone."""
        raise ModelError(
            "--apply_chat_template cannot be used: a latent reasoner has a prompt format of its "
            "own, which is applied by itself. Leave the flag out."
        )
