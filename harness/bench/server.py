"""Samples by the published code, in a process and a Python of its own.

Run by `reference.py` as a script, with the published code's requirements and none of this package.
Reads the setting from the first line of its input, then one question a line, and answers each.
"""

import json
import sys
from typing import Any

import torch


def load(setting: dict[str, Any]) -> Any:
    """Return the published code's model with the weights of a checkpoint."""
    sys.path.insert(0, setting["code"])
    from src.generation_mixin import LatentGenerationMixin
    from src.models.coconut import COCONUTGPT2

    class Model(COCONUTGPT2, LatentGenerationMixin):
        pass

    model = Model.from_pretrained(
        setting["checkpoint"],
        latent_id=setting["latent_id"],
        latent_start_id=setting["start_id"],
        latent_end_id=setting["end_id"],
        attn_pdrop=0.0,  # leaves the residual branches, as the engine's site `residual` does
        embd_pdrop=0.0,
        pad_token_id=0,
    )
    return model.to(setting["device"], getattr(torch, setting["dtype"])).eval()


def sample(model: Any, setting: dict[str, Any], count: int, **sampler: Any) -> list[list[int]]:
    """Return the tokens of N samples a prompt, the prompts' own included."""
    from src.generation_mixin import LatentGenerationConfig

    input_ids = torch.tensor(setting["prompts"], device=setting["device"])
    config = LatentGenerationConfig(
        max_new_tokens=setting["new_tokens"],
        latent_length=setting["thoughts"],
        pad_token_id=0,
        eos_token_id=setting["eos_id"],
        bos_token_id=None,
        **sampler,
    )
    with torch.no_grad():
        sequences = model.generate(
            input_ids=input_ids,
            attention_mask=torch.ones_like(input_ids),
            generation_config=config,
            num_return_sequences=count,
            use_cache=True,
        )
    return sequences.tolist()


def main() -> None:
    """Answer every line of input."""
    answers, sys.stdout = sys.stdout, sys.stderr  # the published code may print
    setting = json.loads(sys.stdin.readline())
    torch.set_num_threads(setting["threads"])
    torch.manual_seed(0)
    model = load(setting)
    for line in sys.stdin:
        print(json.dumps(sample(model, setting, **json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
