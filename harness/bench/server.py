"""Samples by the published code, in a process and a Python of its own.

A script, without this package: reads its setting from the first line, then a question a line.
"""

import json
import sys

import torch


def main() -> None:
    """Answer every line of input."""
    answers, sys.stdout = sys.stdout, sys.stderr  # the published code may print
    setting = json.loads(sys.stdin.readline())
    torch.manual_seed(0)
    sys.path.insert(0, setting["code"])
    from src.generation_mixin import LatentGenerationConfig, LatentGenerationMixin
    from src.models.coconut import COCONUTGPT2

    class Model(COCONUTGPT2, LatentGenerationMixin): ...

    model = Model.from_pretrained(
        setting["checkpoint"],
        latent_start_id=setting["start_id"],
        latent_end_id=setting["start_id"] + 1,
        # No token of the vocabulary: answers of random weights hold any of these by chance.
        latent_id=setting["start_id"] + 3,
        attn_pdrop=0.0,  # leaves the residual branches, as the engine's site `residual` does
        embd_pdrop=0.0,
        pad_token_id=0,
    )
    model.to(setting["device"]).eval()
    input_ids = torch.tensor(setting["prompts"], device=setting["device"])
    for line in sys.stdin:
        question = json.loads(line)
        config = LatentGenerationConfig(
            max_new_tokens=setting["new_tokens"],
            latent_length=setting["thoughts"],
            pad_token_id=0,
            eos_token_id=setting["start_id"] + 4,
            bos_token_id=None,
            **{name: value for name, value in question.items() if name != "count"},
        )
        with torch.no_grad():
            sequences = model.generate(
                input_ids=input_ids,
                attention_mask=torch.ones_like(input_ids),
                num_return_sequences=question["count"],
                use_cache=True,
                generation_config=config,
            )
        print(json.dumps(sequences.tolist()), file=answers, flush=True)


if __name__ == "__main__":
    main()
