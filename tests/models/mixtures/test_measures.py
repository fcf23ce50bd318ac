"""Measures against torch's own count of operations, and against numbers that are known."""

import json
import math

import pytest
import torch
from click.testing import CliRunner
from torch.utils.flop_counter import FlopCounterMode

from latent_tts.harness.commands.measure import measure
from latent_tts.models.backbones.mixture import Mixture
from latent_tts.models.measures import Spread, flops, measures
from tests.models.mixtures.test_latent_sft import PLAIN


def test_the_spread_of_known_mixtures():
    weights = torch.tensor([[0.25, 0.25, 0.25, 0.25], [0.0, 1.0, 0.0, 0.0], [0.5, 0.0, 0.3, 0.2]])
    found = Spread.of(Mixture(torch.zeros(3, 4, dtype=torch.long), weights.log()))
    half = -(0.5 * math.log(0.5) + 0.3 * math.log(0.3) + 0.2 * math.log(0.2))
    assert found.entropy.tolist() == pytest.approx([math.log(4), 0.0, half])
    assert found.top_1.tolist() == pytest.approx([0.25, 1.0, 0.5])
    assert found.top_2.tolist() == pytest.approx([0.5, 1.0, 0.8])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mixture", "coconut", "colar"])
def test_operations_are_those_that_torch_counts(mixed, backbones, kind):
    """Of one sample, which leaves no slot of a batch empty; rotary angles and heads are small."""
    one = mixed("llama") if kind == "mixture" else backbones[kind]
    given = PLAIN if kind == "mixture" else {"latent_do_sample": False, "max_new_tokens": 20}
    if kind == "colar":
        given = {**given, "max_latent_length": 6}
    settings = one.model.settings(**given)
    prompt = one.prompts(1)[0]
    usual = one.model.config._attn_implementation
    one.model.set_attn_implementation("eager")  # the fused kernels of a CPU are not counted
    try:
        with FlopCounterMode(display=False) as counter:
            (found,) = one.sample(settings, prompts=[prompt]).values()
    finally:
        one.model.set_attn_implementation(usual)
    ours = flops(one.model, len(prompt), [found], settings)
    own_modules = {"colar": 0.12}.get(kind, 0.02)  # CoLaR's latent head is none of the trunk
    assert ours == pytest.approx(counter.get_total_flops(), rel=own_modules)


def test_measures_are_means_of_each_question(mixed):
    one = mixed("llama")
    settings = one.model.settings(**PLAIN)
    trajectories = list(one.sample(settings, questions=4).values())
    lengths = [len(prompt) for prompt in one.prompts()]
    found = measures(one.model, lengths, trajectories, settings, written=12.0)
    assert found["thoughts"] == [len(t.thoughts) for t in trajectories]
    assert found["compression"] == [12 / len(t.thoughts) for t in trajectories]
    for number, trajectory in enumerate(trajectories):
        weights = trajectory.mixture.weights.double()
        entropy = [-sum(w * math.log(w) for w in row if w > 0) for row in weights.tolist()]
        assert found["entropy"][number] == pytest.approx(sum(entropy) / len(entropy))
        expected = sum(map(math.exp, entropy)) / len(entropy)
        assert found["parallelism"][number] == pytest.approx(expected)
    two = measures(one.model, lengths[:1], [trajectories[0]] * 2, settings)
    assert two["thoughts"] == found["thoughts"][:1]
    assert found["flops"][0] < two["flops"][0] < 2 * found["flops"][0]  # one prompt for both


@pytest.mark.slow
def test_the_command_prints_each_measure_with_its_error(mixed, tmp_path):
    rows = [
        {"id": str(number), "question": f"{number}+2?", "answer": str(number + 2)}
        for number in range(3)
    ]
    asked = tmp_path / "asked.jsonl"
    asked.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    arguments = ["--pretrained", str(mixed("llama").folder), "--backbone", "latent_sft"]
    done = CliRunner().invoke(measure, [*arguments, "--questions", str(asked)])
    assert done.exit_code == 0, done.output
    names = [line.split()[0] for line in done.output.splitlines()]
    assert names[:3] == ["measure", "thoughts", "answer_tokens"]
    assert {"flops", "entropy", "top_1", "top_2", "parallelism"} <= set(names)
    assert all(line.split()[-1] == "3" for line in done.output.splitlines()[1:])


def test_a_wrong_backbone_is_named_before_anything_is_loaded():
    done = CliRunner().invoke(measure, ["--pretrained", "x/y", "--backbone", "latentsft"])
    assert "No backbone is called 'latentsft'. Did you mean latent_sft" in str(done.exception)
