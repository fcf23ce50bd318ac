"""What an `LM` of this project is apart from sampling: one of several processes; its chats."""

import os
from typing import Any, NoReturn

import torch
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM

from ..models import ModelError
from ..models.backbones import Explicit
from .lm_eval_seam import logger
from .processes import process_state
from .team import Team


class ProcessLM(LM):
    """An `LM` whose questions may be spread over processes, and which refuses what is not its kind.

    To lm-eval it is one process of one (`rank`, `world_size`): the first process asks all questions
    in their order and writes the results, the others answer what they can (`shared.py`). lm-eval
    itself would deal out the questions beforehand, and log them in another order.

    Attributes:
        model: the backbone.

    Args:
        device: where one process alone computes; several divide the accelerators.
    """

    model: Any

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        state = process_state(cpu=device.type == "cpu")
        self.team = Team(state)
        if self.team.size == 1:
            _warn_of_accelerate()
        several = self.team.size > 1 and device.type != "cpu"
        self._computes_on: torch.device = state.device if several else device

    @property
    def device(self) -> torch.device:
        """Where this process computes."""
        return self._computes_on

    def loglikelihood(self, requests: list[Instance]) -> NoReturn:
        """Refuse: a latent reasoner has no likelihood of a given text after sampled thoughts."""
        raise ModelError(
            "latent_tts answers generate_until tasks only; this task asks for log-likelihoods. "
            "Choose a task whose output_type is generate_until."
        )

    def loglikelihood_rolling(self, requests: list[Instance]) -> NoReturn:
        """Refuse, as `loglikelihood` does."""
        self.loglikelihood(requests)

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


def _warn_of_accelerate() -> None:
    """Say that `accelerate launch --cpu` starts one process, however many it is asked for."""
    wanted = os.environ.get("ACCELERATE_USE_CPU", "").lower() == "true"
    if wanted and "MASTER_ADDR" in os.environ and "WORLD_SIZE" not in os.environ:
        logger.warning(
            "`accelerate launch --cpu` was asked for several processes and started one, since it "
            "leaves those of CPUs to mpirun. This process does all the work. For several type "
            "`torchrun --nproc_per_node 2 -m lm_eval …` instead."
        )
