"""The samplers that equivalences are tested under, and when two runs gave the same samples."""

import torch

SAMPLING = {
    "noise": {"latent_do_sample_by": "noise"},
    "dropout": {"dropout_p": 0.1, "dropout_site": "residual"},
    "dropout over thoughts": {"dropout_p": 0.1, "dropout_scope": "thoughts"},
    "answers": {"latent_do_sample": False, "do_sample": True, "temperature": 3.0},
}
COMMON = {"max_new_tokens": 16, "seed": 4}


def thought_length(backbone, count):
    """The setting that has a backbone think `count` thoughts, or at most as many."""
    return {"max_latent_length" if backbone.kind == "colar" else "latent_length": count}


def check_same(found, expected):
    """Hold outputs or records against each other, what stands beyond their lengths included."""
    assert vars(found).keys() == vars(expected).keys()
    for name, theirs in vars(expected).items():
        # Thoughts may differ in float32's last digits, tokens and lengths in nothing.
        tolerance = 1e-4 if name.endswith("thoughts") else 0
        ours = getattr(found, name)
        torch.testing.assert_close(
            ours, theirs, rtol=0, atol=tolerance, msg=lambda m, n=name: n + m
        )
