"""A compiled trunk samples as the plain one does, or turns itself off."""

import gc
import shutil
import weakref

import pytest
import torch
from accelerate.hooks import ModelHook, add_hook_to_module, remove_hook_from_module
from transformers import GPT2Config

from latent_tts.models import COCONUTGPT2, EngineOptions, ModelError, compiled
from latent_tts.models.compiled import compiled as trunk_of
from latent_tts.models.tokens import LatentTokens
from tests.models.sampled import COMMON, check_same, thought_length


def noise(backbone):
    settings = {**COMMON, **thought_length(backbone, 4), "latent_do_sample_by": "noise"}
    return settings | {"num_return_sequences": 5}


@pytest.fixture(autouse=True)
def fresh():
    torch.compiler.reset()
    compiled._compiled.clear()


def compile_by(monkeypatch, backend):
    """Compile as always, but by another backend; returns the list of what was compiled."""
    made, compile_ = [], torch.compile

    def watched(forward, *, dynamic, mode):
        made.append(mode)
        return compile_(forward, dynamic=dynamic, backend=backend)

    monkeypatch.setattr(torch, "compile", watched)
    return made


def test_a_captured_trunk_gives_the_same_samples(backbones, monkeypatch):
    """The code that torch captures, run as it stands: much quicker to make than compiled code."""
    backbone = backbones["colar"]
    expected = backbone.generate(backbone.prompts(3), **noise(backbone))
    made = compile_by(monkeypatch, "eager")
    monkeypatch.setattr(backbone.model, "engine", EngineOptions(torch_compile=True))
    check_same(backbone.generate(backbone.prompts(3), **noise(backbone)), expected)
    assert made == ["default"]


@pytest.mark.filterwarnings("ignore:.torch.jit.script_method. is deprecated:DeprecationWarning")
@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no compiler")
def test_a_compiled_trunk_gives_the_same_samples(backbones, monkeypatch):
    backbone = backbones["coconut"]
    expected = backbone.generate(backbone.prompts(3), **noise(backbone))
    monkeypatch.setattr(backbone.model, "engine", EngineOptions(torch_compile="reduce-overhead"))
    check_same(backbone.generate(backbone.prompts(3), **noise(backbone)), expected)
    assert compiled._compiled[backbone.model.base_model]["reduce-overhead"] is not None


def test_where_compiling_fails_it_goes_on_without(backbones, monkeypatch, caplog):
    backbone = backbones["coconut"]
    settings, prompts = noise(backbone), backbone.prompts(3)
    expected = backbone.generate(prompts, **settings)

    def broken(graph, inputs):
        raise RuntimeError("no compiler here")

    compile_by(monkeypatch, broken)
    monkeypatch.setattr(backbone.model, "engine", EngineOptions(torch_compile=True))
    check_same(backbone.generate(prompts, **settings), expected)
    assert caplog.text.count("torch_compile=True does not work here, going on without") == 1


def test_dropout_and_gradients_go_by_the_plain_trunk(backbone, monkeypatch):
    made = compile_by(monkeypatch, "eager")
    dropout = {**noise(backbone), "latent_do_sample_by": "dropout", "dropout_p": 0.1}
    expected = backbone.generate(backbone.prompts(2), **dropout)
    monkeypatch.setattr(backbone.model, "engine", EngineOptions(torch_compile=True))
    check_same(backbone.generate(backbone.prompts(2), **dropout), expected)
    assert made == []
    assert trunk_of(backbone.model) is None  # a gradient is kept here
    with torch.no_grad():
        assert trunk_of(backbone.model) is not None


def test_hooks_of_accelerate_are_not_passed_by(backbones, monkeypatch):
    model = backbones["coconut"].model
    monkeypatch.setattr(model, "engine", EngineOptions(torch_compile=True))
    try:
        add_hook_to_module(model.base_model, ModelHook())
        with torch.no_grad():
            assert trunk_of(model) is None
    finally:
        remove_hook_from_module(model.base_model)


def test_a_compiled_trunk_is_freed_with_its_model(monkeypatch):
    model = COCONUTGPT2(GPT2Config(n_layer=1, n_embd=8, n_head=1, vocab_size=20, n_positions=32))
    model.latent_tokens = LatentTokens(1, 2, eos=(), pad=0)
    made = compile_by(monkeypatch, "eager")
    model.engine = EngineOptions(torch_compile=True)
    model.eval().generate(torch.tensor([[3, 4]]), latent_do_sample=False, max_new_tokens=9)
    trunk = weakref.ref(model.base_model)
    assert len(made) == len(compiled._compiled) == 1
    del model
    gc.collect()
    assert trunk() is None
    assert len(compiled._compiled) == 0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"packed_weights": "no"}, "packed_weights='no'; allowed are true and false"),
        ({"drafts": 1}, "drafts=1; allowed are true and false"),
        ({"torch_compile": "fast"}, "torch_compile='fast'; allowed are true, false and default"),
        ({"max_rows": 0}, "max_rows=0; allowed is a whole number of at least 1"),
        ({"max_rows": True}, "max_rows=True; allowed is a whole number"),
        ({"max_rows": 2.5}, "max_rows=2.5; allowed is a whole number"),
    ],
)
def test_options_out_of_range_are_refused(given, message):
    with pytest.raises(ModelError, match=message):
        EngineOptions(**given)
