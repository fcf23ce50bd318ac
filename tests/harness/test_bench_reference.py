"""`latent-tts bench reference`, with a stand-in for the published code: its names, our loop."""

import json
import sys
from textwrap import dedent

import pytest

from latent_tts.models import ModelError
from tests.harness.test_bench import run

MIXIN = """
    from types import SimpleNamespace

    def LatentGenerationConfig(**given):
        return SimpleNamespace(**given)

    class LatentGenerationMixin:
        pass
"""
MODEL = """
    import torch
    from latent_tts.harness.bench import straightforward
    from latent_tts.models import COCONUTGPT2 as Engine
    from latent_tts.models.backbones.tokens import LatentTokens

    class COCONUTGPT2(Engine):
        @classmethod
        def from_pretrained(cls, folder, *, latent_id, latent_start_id, latent_end_id, **given):
            model = super().from_pretrained(folder, **given)
            model.latent_tokens = LatentTokens(latent_end_id, 0, eos=(), pad=0)
            return model

        def generate(self, input_ids, attention_mask, generation_config, num_return_sequences,
                     use_cache):
            given = generation_config
            print("a line that is no answer")
            settings = self.settings(
                latent_length=given.latent_length + MORE,
                max_new_tokens=given.max_new_tokens + MORE,
                latent_do_sample=getattr(given, "latent_do_sample", False),
                latent_do_sample_by=getattr(given, "latent_do_sample_by", "noise"),
                num_return_sequences=num_return_sequences,
            )
            after, _ = straightforward(self, input_ids, settings)
            before = input_ids.repeat_interleave(num_return_sequences, dim=0)
            return torch.cat((before, after[:, MORE:]), dim=1)
"""


@pytest.fixture
def code(tmp_path):
    """Return a function that writes the stand-in, which may think more than it is asked to."""

    def write(more=0):
        (tmp_path / "src/models").mkdir(parents=True)
        (tmp_path / "src/generation_mixin.py").write_text(dedent(MIXIN))
        model = dedent(MODEL).replace("MORE", str(more))
        (tmp_path / "src/models/coconut.py").write_text(model)
        return tmp_path

    return write


def test_a_row_for_every_setting_that_the_published_code_has(code, tmp_path):
    done = run(
        f"--reference={code()}", "--samples=2", f"--json={tmp_path / 'r.json'}", of="reference"
    )
    assert done.exit_code == 0, done.output
    rows = json.loads((tmp_path / "r.json").read_text())
    assert [(row["sampler"], row["scope"]) for row in rows] == [
        ("noise", "thoughts"),
        ("dropout", "prompt_and_thoughts"),
    ]
    for row in rows:
        for name in ("samples_per_s", "reference_samples_per_s", "ratio_to_reference"):
            assert 0 < row[f"{name}_low"] <= row[name] <= row[f"{name}_high"]


def test_other_answers_are_not_compared(code):
    with pytest.raises(ModelError, match="answers otherwise than the engine"):
        run(f"--reference={code(more=1)}", of="reference")


def test_what_is_missing_is_said(code, tmp_path):
    with pytest.raises(ModelError, match="reference=None; it must be a clone of the published"):
        run(of="reference")
    with pytest.raises(ModelError, match=r"with its src/generation_mixin\.py"):
        run(f"--reference={tmp_path}", of="reference")
    (tmp_path / "src").mkdir()
    (tmp_path / "src/generation_mixin.py").write_text("raise SystemExit(3)")
    with pytest.raises(ModelError, match=f"has stopped.* Does {sys.executable} have its"):
        run(f"--reference={tmp_path}", of="reference")
    with pytest.raises(ModelError, match="reference_python='no-python' cannot be started"):
        run(f"--reference={tmp_path}", "--reference-python=no-python", of="reference")
