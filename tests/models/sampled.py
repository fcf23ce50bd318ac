"""The samplers that equivalences are tested under, and when two runs gave the same samples."""

from collections.abc import Hashable, Mapping
from typing import Any

import torch

from latent_tts.models import LatentGenerateOutput, Trajectory

SAMPLING = {
    "noise": {"latent_do_sample_by": "noise"},
    "dropout": {"dropout_p": 0.1, "dropout_site": "residual"},
    "dropout over thoughts": {"dropout_p": 0.1, "dropout_scope": "thoughts"},
    "one mask a sample": {"dropout_p": 0.1, "dropout_mask": "sample"},
    "answers": {"latent_do_sample": False, "do_sample": True, "temperature": 3.0},
}
# Every sampler, and every backbone under several of them: a grid of all would add little.
PAIRS = [
    *(("coconut", "noise"), ("coconut", "dropout"), ("coconut", "answers")),
    *(("codi", "dropout over thoughts"), ("codi", "one mask a sample")),
    *(("colar", "noise"), ("colar", "one mask a sample")),
]
# Each trunk once: prompts that each sample reads under a mask of its own, and shared prompts.
QUICK = [("codi", "one mask a sample"), ("colar", "noise")]
COMMON = {"max_new_tokens": 16, "seed": 4}


def thought_length(backbone: Any, count: int) -> dict[str, int]:
    """The setting that has a backbone think `count` thoughts, or at most as many."""
    return {"max_latent_length" if backbone.kind == "colar" else "latent_length": count}


def check_same(
    found: Mapping[Hashable, Trajectory],
    expected: Mapping[Hashable, Trajectory],
    *,
    tolerance: float = 1e-4,
) -> None:
    """Hold trajectories against each other: tokens are equal, thoughts but for the last digits."""
    assert found.keys() == expected.keys()
    for name, theirs in expected.items():
        ours = found[name]
        assert ours.answer_ids == theirs.answer_ids, name
        assert ours.truncated == theirs.truncated, name
        torch.testing.assert_close(ours.thoughts, theirs.thoughts, rtol=0, atol=tolerance)


def check_same_output(found: LatentGenerateOutput, expected: LatentGenerateOutput) -> None:
    """Hold what `generate` returns against each other, what stands beyond lengths included."""
    assert found.keys() == expected.keys()
    for name, theirs in expected.items():
        tolerance = 1e-4 if name == "latent_thoughts" else 0
        torch.testing.assert_close(found[name], theirs, rtol=0, atol=tolerance)
