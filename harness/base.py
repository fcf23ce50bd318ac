"""What an `LM` of this project is apart from sampling: one of several processes; its chats."""

from typing import Any, NoReturn

import torch
from accelerate import PartialState
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM

from ..models import ModelError
from ..models.backbones import Explicit
from .processes import process_state


class ProcessLM(LM):
    """An `LM` whose questions may be spread over processes, and which refuses what is not its kind.

    Attributes:
        model: the backbone.

    Args:
        device: where one process alone computes; several divide the accelerators.
    """

    model: Any

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self.process: PartialState = process_state(cpu=device.type == "cpu")
        several = self.process.num_processes > 1 and device.type != "cpu"
        self._computes_on = self.process.device if several else device

    @property
    def device(self) -> torch.device:
        """Where this process computes."""
        return self._computes_on

    @property
    def rank(self) -> int:
        """This process's number."""
        return self.process.process_index

    @property
    def world_size(self) -> int:
        """How many processes share the questions."""
        return self.process.num_processes

    def loglikelihood(self, requests: list[Instance]) -> NoReturn:
        """Refuse: a latent reasoner has no likelihood of a given text after sampled thoughts."""
        raise ModelError(
            "latent_tts answers generate_until tasks only; this task asks for log-likelihoods. "
            "Choose a task whose output_type is generate_until."
        )

    def loglikelihood_rolling(self, requests: list[Instance]) -> NoReturn:
        """Refuse, as `loglikelihood` does."""
        self.loglikelihood(requests)

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
        self.process.wait_for_everyone()

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """Return a chat as the checkpoint's template writes it, where the backbone reads chats.

        Raises:
            ModelError: the backbone was trained on its own prompt format alone, there is no
                template, or the answer has begun already.
        """
        if not isinstance(self.model, Explicit):
            raise ModelError(
                "--apply_chat_template cannot be used: a latent reasoner has a prompt format of "
                "its own, which is applied by itself. Leave the flag out."
            )
        if not add_generation_prompt:
            raise ModelError(
                "--apply_chat_template with a task that begins the answer (gen_prefix): an answer "
                "begins with the template's generation prompt. Leave out one of the two."
            )
        return self.model.chat(chat_history)
