"""Another package's sampler and backbone work through its entry points, without a change here."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from latent_tts.models.samplers import randomness
from tests.checkpoints import edit_weights, write_on_trunk
from tests.models.reference import Reference, sample_key

OUTSIDE = Path(__file__).parent / "outside"
EXAMPLE = Path(__file__).parents[1] / "example_package" / "my_package.py"  # that of the docs
QUESTION, SEED, RANGE = "2 + 2?", 7, 0.5


@pytest.fixture
def install(tmp_path):
    """Install the outside package into a folder for PYTHONPATH, with other entry points besides."""

    def make(**others):
        folder = tmp_path / "site"
        shutil.copytree(OUTSIDE, folder)
        shutil.copy(EXAMPLE, folder)
        info = folder / "outside-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: outside\nVersion: 1.0\n")
        groups = {
            "samplers": {"uniform": "my_package:Uniform"},
            "backbones": {"gated": "gated_coconut:GatedCoconut"},
        }
        text = ""
        for group, points in groups.items():
            points |= others.get(group, {})
            lines = "".join(f"{name} = {at}\n" for name, at in points.items())
            text += f"[latent_tts.{group}]\n{lines}"
        (info / "entry_points.txt").write_text(text)
        return str(folder)

    return make


SAMPLE = """
import json, sys
import torch
from latent_tts.models import BACKBONES, SAMPLERS, AutoLatentModel, load_tokenizer, sample

base, again, question, seed, strength = sys.argv[1:]
assert list(BACKBONES)[-1] == "gated"
assert list(SAMPLERS)[-1] == "uniform"
tokenizer = load_tokenizer(base)
model = AutoLatentModel.from_pretrained(base, backbone="gated")
model.save_pretrained(again)
tokenizer.save_pretrained(again)
model = AutoLatentModel.from_pretrained(again)
assert type(model).__name__ == "GatedQwen2"
settings = model.settings(
    latent_do_sample_by="uniform", uniform_width=float(strength), seed=int(seed), max_new_tokens=12,
    num_return_sequences=3,
)
prompt = model.encode_prompt(tokenizer, question)
found = sorted(sample(model, [prompt], settings), key=lambda one: one.sample)
print(json.dumps({
    "record": settings.record(),
    "answers": [model.read_answer(text) for text in ("so [12]", "12")],
    "found": [[one.thoughts.tolist(), one.answer_ids] for one in found],
}))
"""


class GatedReference(Reference):
    """Thinks as the outside backbone does."""

    def next_thought(self, hidden):
        gate = self.weights["gate.weight"] @ hidden + self.weights["gate.bias"]
        return hidden * 2 / (1 + torch.exp(-gate))

    @torch.no_grad()
    def gated(self, prompt, sample):
        """The thoughts and the answer of a sample under uniform noise."""
        inputs, thoughts = self.embed(prompt), []
        for _ in range(4):
            drawn = randomness.uniform(
                sample_key(SEED, prompt, sample), torch.tensor(len(inputs)), site=0, size=self.size
            )
            thought = self.next_thought(self.hidden(inputs))
            thoughts.append(thought + RANGE * (2 * drawn - 1).float())
            inputs.append(thoughts[-1])
        inputs += self.embed([self.end])
        answer = []
        while len(answer) < 12 - 4 - 1 and answer[-1:] != [self.eos]:
            answer.append(int(self.logits(self.hidden(inputs)).argmax()))
            inputs += self.embed(answer[-1:])
        return torch.stack(thoughts), answer


@pytest.mark.slow
def test_a_sampler_and_a_backbone_of_another_package(install, tmp_path, run_python):
    base = write_on_trunk(tmp_path / "base", "coconut", "Qwen2")
    gate = {"gate.weight": torch.randn(32, 32) * 0.5, "gate.bias": torch.randn(32)}
    edit_weights(base, lambda weights: weights.update(gate))
    arguments = (str(base), str(tmp_path / "again"), QUESTION, str(SEED), str(RANGE))
    done = json.loads(run_python("-c", SAMPLE, *arguments, PYTHONPATH=install()).stdout)
    record = done["record"]
    assert record["latent_do_sample_by"] == "uniform"
    assert record["sampler_strength"] == "uniform_width"
    assert record["uniform_width"] == RANGE
    assert "noise_std" not in record
    assert record["latent_length"] == 4  # the backbone's own
    assert done["answers"] == ["12", None]
    reference = GatedReference("coconut", base)
    prompt = reference.tokenizer.encode(f"[{QUESTION}]<|start-latent|>")
    for sample, (thoughts, answer) in enumerate(done["found"]):
        expected, tokens = reference.gated(prompt, sample)
        torch.testing.assert_close(torch.tensor(thoughts), expected, rtol=0, atol=1e-3)
        assert answer == tokens
    assert len({tuple(answer) for _, answer in done["found"]}) > 1


REFUSED = """
from latent_tts.models import BACKBONES, SAMPLERS, AutoLatentModel, ModelError
for ask in (
    lambda: SAMPLERS["wrong"],
    lambda: BACKBONES["wrong"],
    lambda: SAMPLERS["other"],
    lambda: SAMPLERS["broken"],
    lambda: SAMPLERS["seeded"],
    lambda: SAMPLERS["noisy"],
    lambda: SAMPLERS["plain"],
    lambda: AutoLatentModel.from_pretrained("tiny-coconut").settings(latent_do_sample_by="broken"),
    lambda: print(AutoLatentModel.from_pretrained("tiny-coconut").settings().sampler),
):
    try:
        ask()
    except ModelError as error:
        print(error)
"""


@pytest.mark.slow
def test_entry_points_that_are_of_no_use_are_named(install, run_python):
    folder = install(
        samplers={
            "wrong": "gated_coconut:GatedCoconut",
            "other": "my_package:Uniform",
            "broken": "my_package:Missing",
            **{name: f"refused_samplers:{name.title()}" for name in ("seeded", "noisy", "plain")},
        },
        backbones={"wrong": "my_package:Uniform"},
    )
    done = run_python("-c", REFUSED, PYTHONPATH=folder)
    said = done.stdout.splitlines()
    sampler = "must be a frozen dataclass derived from latent_tts.models.Sampler whose name is"
    assert len(said) == 9
    assert "'wrong' of latent_tts.samplers is <class 'gated_coconut.GatedCoconut'>" in said[0]
    assert f"{sampler} 'wrong'" in said[0]
    assert "derived from latent_tts.models.LatentBackbone whose `backbone` is 'wrong'" in said[1]
    assert f"{sampler} 'other'" in said[2]
    assert (
        "'broken' of an installed package cannot be imported from 'my_package:Missing'" in said[3]
    )
    assert "Mend that package, or uninstall it." in said[3]
    assert "'seeded' of refused_samplers has the parameter 'seed', which is a setting" in said[4]
    assert "'noisy' of refused_samplers has the parameter 'noise_std', which is a" in said[5]
    assert f"{sampler} 'plain': write @dataclass(frozen=True, kw_only=True) above it." in said[6]
    assert said[7] == said[3]
    assert said[8] == "Noise(noise_std=0.6)"  # who asks for none of them loads and samples
    assert done.stderr.count("'wrong' of") == 2  # a sampler and a backbone
    for name in ("other", "broken", "seeded", "noisy", "plain"):  # each told of once
        assert done.stderr.count(f"{name!r} of") == 1


def test_the_example_is_short():
    assert len((OUTSIDE / "gated_coconut.py").read_text().splitlines()) <= 80
