"""The engine without its kernels, and what importing it leaves behind, in other processes."""

import pytest

SAMPLE = """
from latent_tts.models import AutoLatentModel, load_tokenizer, sample
model = AutoLatentModel.from_pretrained("tiny-coconut")
prompt = model.encode_prompt(load_tokenizer("tiny-coconut"), "Ada has 9 pens and buys 4. So?")
found = sample(model, [prompt], model.settings(num_return_sequences=3, seed=1, noise_std=0.9))
print(sorted((one.sample, one.answer_ids) for one in found))
"""
MISSING = """
import sys
sys.modules["latent_tts.models.engine.kernels.cpu"] = None  # importing it is an ImportError
"""
HOOKS = """
import sys, torch
from torch.optim import optimizer
own = sys.excepthook
import latent_tts.models
assert sys.excepthook is own
assert not torch.nn.modules.module._has_any_global_hook()
assert not [*optimizer._global_optimizer_pre_hooks, *optimizer._global_optimizer_post_hooks]
"""


@pytest.mark.slow
def test_without_kernels_samples_are_the_same(run_python):
    with_them, without = (run_python("-c", head + SAMPLE).stdout for head in ("", MISSING))
    assert with_them == without != ""


@pytest.mark.slow
def test_importing_the_models_hooks_nothing(run_python):
    run_python("-c", HOOKS)
