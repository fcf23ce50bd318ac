"""Packed weights and fused activations compute what the model's own layers do."""

import gc
import weakref
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from transformers.activations import NewGELUActivation
from transformers.pytorch_utils import Conv1D

from latent_tts.models import EngineOptions
from latent_tts.models.backbones.tokens import LatentTokens
from latent_tts.models.engine.head import likeliest
from latent_tts.models.engine.kernels import packed as module
from latent_tts.models.engine.kernels.cpu import fast
from latent_tts.models.engine.kernels.packed import drop_stale, packed_head, stop_packing
from tests.models.engine.passes import watching
from tests.models.sampled import check_same

pytestmark = pytest.mark.skipif(not module.kernel_exists(), reason="torch has no packed kernel")


@pytest.fixture(autouse=True)
def tiny_weights(monkeypatch):
    """Tiny weights are as good as large ones."""
    monkeypatch.setattr(module, "_LEAST_BYTES", 0)


@torch.no_grad()
def packed(model, *layers):
    """Whether each of the layers computes by a packed weight."""
    with fast(model):
        return ["forward" in vars(layer) for layer in layers]


def made_layer(kind, inputs, outputs, *, bias=True):
    torch.manual_seed(outputs)
    layer = Conv1D(outputs, inputs) if kind is Conv1D else nn.Linear(inputs, outputs, bias=bias)
    for weight in layer.parameters():
        nn.init.normal_(weight)
    return layer


def model_of(*layers, head=None, **options):
    """What `fast` and `likeliest` ask of a model."""
    trunk = nn.Sequential(*layers)
    return SimpleNamespace(
        base_model=trunk,
        device=torch.device("cpu"),
        engine_options=EngineOptions(**options),
        get_output_embeddings=lambda: head,
        modules=lambda: [*trunk.modules(), *([head] if head else [])],
        parameters=lambda: [*trunk.parameters(), *(head.parameters() if head else ())],
        latent_tokens=LatentTokens(end=0, placeholder=0, eos=(), pad=0),
    )


def product(layer, inputs):
    """What a layer computes, in float64."""
    weight = layer.weight.double() if isinstance(layer, Conv1D) else layer.weight.double().t()
    bias = 0 if layer.bias is None else layer.bias.double()
    return (inputs.double() @ weight + bias).float()


@pytest.mark.parametrize(("kind", "bias"), [(nn.Linear, True), (nn.Linear, False), (Conv1D, True)])
@pytest.mark.parametrize(("inputs", "outputs"), [(7, 5), (48, 144), (512, 600)])
@torch.no_grad()
def test_a_packed_layer_multiplies_by_its_weight(kind, bias, inputs, outputs):
    layer = made_layer(kind, inputs, outputs, bias=bias)
    model = model_of(layer)
    for shape in ((1,), (31,), (32,), (70,), (3, 5), (2, 1)):
        states = torch.randn(*shape, inputs)
        with fast(model):
            found = model.base_model(states)
        torch.testing.assert_close(found, product(layer, states), rtol=1e-5, atol=1e-4)
    assert packed(model, layer) == [True]


def test_samples_are_those_of_plain_weights(backbone, sampling):
    # Loaded anew: a model that ran out of memory, as in other tests, is never packed again.
    backbone = replace(backbone)
    model, seen = backbone.model, set()

    def see(each):
        layers = [part for part in model.base_model.modules() if type(part) in (nn.Linear, Conv1D)]
        seen.add(sum("forward" in vars(layer) for layer in layers))

    settings = {**sampling, "num_return_sequences": 5}
    with watching(model, see):
        expected = backbone.sample(settings, questions=7, packed_weights=False)
        assert seen == {0}
        seen.clear()
        check_same(backbone.sample(settings, questions=7), expected)
    # Four layers in each of GPT-2's three blocks, seven in Llama's.
    assert seen == {21 if backbone.kind == "colar" else 12}
    with torch.no_grad():
        assert len(packed_head(model)) == 1


def optimizer_step(kind):
    def change(layer):
        for weight in layer.parameters():
            weight.grad = torch.ones_like(weight)
        kind(layer.parameters(), lr=0.5).step()

    return change


def load(**options):
    def change(layer):
        layer.load_state_dict({n: w + 0.5 for n, w in layer.state_dict().items()}, **options)

    return change


def move_the_data(layer):
    for weight in layer.parameters():
        weight.data = weight.data + 0.5


def change_the_bias_in_place(layer):
    with torch.no_grad():
        layer.bias += 0.5


def another_bias(layer):
    layer.bias = nn.Parameter(layer.bias.detach() + 0.5)


def to_half_and_back(layer):
    layer.half()
    layer.float()


@pytest.mark.parametrize(
    "change",
    [
        optimizer_step(torch.optim.SGD),
        optimizer_step(torch.optim.AdamW),
        optimizer_step(lambda weights, lr: torch.optim.AdamW(weights, lr=lr, fused=True)),
        load(),
        load(assign=True),
        move_the_data,
        change_the_bias_in_place,
        another_bias,
        to_half_and_back,
    ],
    ids=["sgd", "adamw", "fused", "load", "assign", "data", "bias", "another-bias", "half"],
)
@pytest.mark.parametrize("kind", [nn.Linear, Conv1D])
def test_changed_weights_are_packed_anew(kind, change):
    layer, states = made_layer(kind, 64, 96), torch.randn(4, 64)
    model = model_of(layer)
    for _ in range(2):  # what is packed anew may stand where the old one stood
        with torch.no_grad(), fast(model):
            before = model.base_model(states)
        change(layer)
        drop_stale(model)
        with torch.no_grad(), fast(model):
            found = model.base_model(states)
        torch.testing.assert_close(found, product(layer, states), rtol=1e-5, atol=1e-4)
    assert change is to_half_and_back or (found - before).abs().min() > 0.01


def test_what_is_packed_goes_with_its_layer():
    layer = made_layer(nn.Linear, 8, 8)
    assert packed(model_of(layer), layer) == [True]
    left = weakref.ref(layer)
    del layer
    gc.collect()
    assert left() is None


def short_of_memory(monkeypatch):
    # A quarter of what is free may be taken; the layer's weight is 4 * 8 * 8 bytes.
    monkeypatch.setattr(module, "free_memory", lambda device: 4 * 256 - 1)


def without_kernel(monkeypatch):
    monkeypatch.setattr(module, "kernel_exists", lambda: False)


def small(monkeypatch):
    monkeypatch.setattr(module, "_LEAST_BYTES", 257)


@pytest.mark.parametrize("prevented", [short_of_memory, without_kernel, small])
def test_where_packing_gains_nothing_layers_are_left_alone(monkeypatch, prevented):
    layer = made_layer(nn.Linear, 8, 8, bias=False)
    prevented(monkeypatch)
    assert packed(model_of(layer), layer) == [False]
    monkeypatch.undo()  # and with the same layer it does gain
    monkeypatch.setattr(module, "_LEAST_BYTES", 256)
    assert packed(model_of(layer), layer) == [True]


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_precisions_are_left_alone(dtype):
    layer = made_layer(nn.Linear, 8, 8).to(dtype)
    assert packed(model_of(layer), layer) == [False]


def test_gradients_are_those_of_the_layers_themselves():
    layers = made_layer(nn.Linear, 8, 12), NewGELUActivation(), made_layer(Conv1D, 12, 3)
    model, states = model_of(*layers), torch.randn(5, 8)
    # Packed for other steps, which take no gradient.
    assert packed(model, *layers) == [True] * 3
    gradients = []
    for context in (fast(model), torch.enable_grad()):
        model.base_model.zero_grad()
        with context:
            model.base_model(states).square().sum().backward()
        gradients.append([weight.grad.clone() for weight in model.base_model.parameters()])
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_the_activation_of_gpt2_is_one_kernel_even_without_packing():
    model, states = model_of(NewGELUActivation(), packed_weights=False), torch.randn(9, 40) * 3
    expected = model.base_model(states)
    with torch.profiler.profile() as plain:
        model.base_model(states)
    with fast(model), torch.profiler.profile() as fused:
        found = model.base_model(states)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    assert len(plain.events()) > len(fused.events()) == 1


@torch.no_grad()
def test_layers_are_as_they_were_afterwards():
    layers = made_layer(nn.Linear, 8, 8), NewGELUActivation(), made_layer(Conv1D, 8, 8)
    with fast(model_of(*layers)):
        assert all("forward" in vars(layer) for layer in layers)
    assert not any("forward" in vars(layer) for layer in layers)
    with pytest.raises(KeyError), fast(model_of(*layers)):
        raise KeyError
    assert not any("forward" in vars(layer) for layer in layers)


class FailingPacking(TorchDispatchMode):
    """Lets memory run out when a second weight is packed."""

    count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += "_reorder_linear_weight" in str(function)
        if self.count == 2:
            raise MemoryError
        return function(*args, **(kwargs or {}))


@torch.no_grad()
def test_layers_are_as_they_were_where_memory_runs_out_in_the_middle():
    layers = made_layer(nn.Linear, 8, 8), made_layer(nn.Linear, 8, 8)
    with pytest.raises(MemoryError), FailingPacking(), fast(model_of(*layers)):
        pass
    assert not any("forward" in vars(layer) for layer in layers)


@torch.no_grad()
def test_what_another_program_put_into_a_layer_stays():
    layer = made_layer(nn.Linear, 8, 9)
    layer.forward = lambda states: states * 2  # as accelerate's hooks do
    other, states = layer.forward, torch.randn(3, 8)
    model = model_of(layer, head=layer)
    with fast(model):
        assert torch.equal(model.base_model(states), states * 2)
    assert layer.forward is other
    assert torch.equal(likeliest(model, states)[0], (states * 2).amax(dim=1))
    assert not packed_head(model)


@torch.no_grad()
def test_hooks_see_and_change_what_packed_layers_give():
    layer, states = made_layer(nn.Linear, 8, 8), torch.randn(3, 8)
    layer.register_forward_hook(lambda module, args, output: output * 10)
    model = model_of(layer)
    with fast(model):
        found = model.base_model(states)
    assert packed(model, layer) == [True]
    torch.testing.assert_close(found, 10 * product(layer, states), rtol=1e-5, atol=1e-4)


def test_few_trained_numbers_are_noticed():
    """A fused step raises no version, and few numbers are not among those compared."""
    layer, states = made_layer(nn.Linear, 64, 96), torch.randn(4, 64)
    other, model = made_layer(nn.Linear, 8, 8), model_of(layer)
    assert packed(model, layer) + packed(model_of(other), other) == [True, True]
    optimizer = torch.optim.AdamW(layer.parameters(), lr=0.5, weight_decay=0.0, fused=True)
    layer.weight.grad, layer.bias.grad = torch.zeros_like(layer.weight), None
    layer.weight.grad[3, 5] = 1.0
    optimizer.step()
    with torch.no_grad(), fast(model):
        found = model.base_model(states)
    torch.testing.assert_close(found, product(layer, states), rtol=1e-5, atol=1e-4)


@pytest.mark.filterwarnings("ignore:.*weight_norm.*deprecated:FutureWarning")
@torch.no_grad()
def test_weights_that_a_hook_makes_are_not_packed():
    layer, states = nn.utils.weight_norm(made_layer(nn.Linear, 8, 8)), torch.randn(3, 8)
    model = model_of(layer)
    for _ in range(2):
        with fast(model):
            found = model.base_model(states)
        torch.testing.assert_close(found, layer(states))
        layer.weight_g *= 2
    assert packed(model, layer) == [False]


@torch.no_grad()
def test_hooks_of_a_packed_head_and_of_all_modules_see_everything():
    head, states = made_layer(nn.Linear, 8, 9), torch.randn(3, 8)
    model = model_of(made_layer(nn.Linear, 8, 8), head=head)
    best = likeliest(model, states)[1]
    assert packed_head(model)
    expected = head(states).scatter(1, best[:, None], -torch.inf).max(dim=1)

    def ban(module, args, output):
        return output.scatter(1, best[:, None], -torch.inf) if module is head else None

    for register in (head.register_forward_hook, nn.modules.module.register_module_forward_hook):
        hook = register(ban)
        largest, tokens = likeliest(model, states)
        hook.remove()
        assert torch.equal(tokens, expected.indices)
        torch.testing.assert_close(largest, expected.values)


def test_whether_copies_fit_is_asked_once_a_prompt(monkeypatch):
    asked = []
    monkeypatch.setattr(module, "free_memory", lambda device: asked.append(device) or 0)
    layers = made_layer(nn.Linear, 8, 8), made_layer(nn.Linear, 8, 8)
    model = model_of(*layers)
    for prompts in range(3):
        drop_stale(model)
        for _ in range(4):
            assert packed(model, *layers) == [False, False]
        assert len(asked) == prompts + 1


def test_where_memory_has_run_out_nothing_is_packed_again():
    layers = made_layer(nn.Linear, 8, 8), made_layer(nn.Linear, 8, 8)
    first, other = (model_of(layer) for layer in layers)
    assert packed(first, layers[0]) + packed(other, layers[1]) == [True, True]
    stop_packing(first)
    assert packed(first, layers[0]) + packed(other, layers[1]) == [False, True]


IMPORT = """
import torch
from torch.nn.modules import module
from torch.optim import optimizer
import transformers, accelerate

def hooks():
    tables = [
        value for owner in (module, optimizer) for name, value in sorted(vars(owner).items())
        if name.startswith("_global") and isinstance(value, dict)
    ]
    assert len(tables) > 5
    return [list(table) for table in tables]

before = hooks()
import latent_tts.models
assert hooks() == before, hooks()
"""


@pytest.mark.slow
def test_importing_the_models_hooks_no_optimizer_and_no_module(run_python):
    run_python("-c", IMPORT)
