"""Packed weights and fused activations compute what the model's own layers do."""

import gc
from types import SimpleNamespace
from weakref import WeakKeyDictionary

import pytest
import torch
from torch import nn
from transformers.activations import NewGELUActivation
from transformers.pytorch_utils import Conv1D

from latent_tts.models import EngineOptions
from latent_tts.models.engine.kernels import cpu as module
from latent_tts.models.engine.kernels.cpu import drop_stale, fast, likeliest, stop_packing
from tests.models.sampled import check_same

pytestmark = pytest.mark.skipif(not module._kernel_exists(), reason="torch has no packed kernel")


@pytest.fixture(autouse=True)
def packed(monkeypatch):
    """What is packed, nothing to begin with; tiny weights are as good as large ones."""
    made = WeakKeyDictionary()
    monkeypatch.setattr(module, "_packed", made)
    monkeypatch.setattr(module, "_LEAST_BYTES", 0)
    return made


def made_layer(kind, inputs, outputs, *, bias=True):
    torch.manual_seed(outputs)
    layer = Conv1D(outputs, inputs) if kind is Conv1D else nn.Linear(inputs, outputs, bias=bias)
    for weight in layer.parameters():
        nn.init.normal_(weight)
    return layer


def model_of(*layers, head=None, **options):
    """What `fast` and `likeliest` ask of a model."""
    trunk = nn.Sequential(*layers)
    engine = EngineOptions(**options)
    return SimpleNamespace(
        base_model=trunk,
        device=torch.device("cpu"),
        engine=engine,
        get_output_embeddings=lambda: head,
        modules=lambda: [*trunk.modules(), *([head] if head else [])],
        parameters=lambda: [*trunk.parameters(), *(head.parameters() if head else ())],
    )


def product(layer, inputs):
    """What a layer computes, in float64."""
    weight = layer.weight.double() if isinstance(layer, Conv1D) else layer.weight.double().t()
    bias = 0 if layer.bias is None else layer.bias.double()
    return (inputs.double() @ weight + bias).float()


@pytest.mark.parametrize(("kind", "bias"), [(nn.Linear, True), (nn.Linear, False), (Conv1D, True)])
@pytest.mark.parametrize(("inputs", "outputs"), [(7, 5), (48, 144), (512, 600)])
@torch.no_grad()
def test_a_packed_layer_multiplies_by_its_weight(packed, kind, bias, inputs, outputs):
    layer = made_layer(kind, inputs, outputs, bias=bias)
    model = model_of(layer)
    for shape in ((1,), (31,), (32,), (70,), (3, 5), (2, 1)):
        states = torch.randn(*shape, inputs)
        with fast(model):
            found = model.base_model(states)
        torch.testing.assert_close(found, product(layer, states), rtol=1e-5, atol=1e-4)
    assert list(packed) == [layer]


def test_samples_are_those_of_plain_weights(backbone, sampling, packed, monkeypatch):
    model, prompts = backbone.model, backbone.prompts(7)
    packed.clear()  # of what loading has packed
    settings = {**sampling, "num_return_sequences": 5}
    monkeypatch.setattr(model, "engine", EngineOptions(packed_weights=False))
    expected = backbone.generate(prompts, **settings)
    assert not packed
    monkeypatch.setattr(model, "engine", EngineOptions())
    check_same(backbone.generate(prompts, **settings), expected)
    # Four layers in each of GPT-2's three blocks, seven in Llama's, and the head.
    assert len(packed) == (22 if backbone.kind == "colar" else 13)
    assert model.get_output_embeddings() in packed


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
    for _ in range(4):
        with torch.no_grad(), fast(model):
            before = model.base_model(states)
        change(layer)
        gc.collect()
        drop_stale(model)
        with torch.no_grad(), fast(model):
            found = model.base_model(states)
        torch.testing.assert_close(found, product(layer, states), rtol=1e-5, atol=1e-4)
    assert change is to_half_and_back or (found - before).abs().min() > 0.01


def test_what_is_packed_goes_with_its_layer(packed):
    layer = made_layer(nn.Linear, 8, 8)
    with torch.no_grad(), fast(model_of(layer)):
        assert len(packed) == 1
    del layer
    gc.collect()
    assert not packed


def short_of_memory(monkeypatch):
    # A quarter of what is free may be taken; the layer's weight is 4 * 8 * 8 bytes.
    monkeypatch.setattr(module, "free_memory", lambda device: 4 * 256 - 1)


def without_kernel(monkeypatch):
    monkeypatch.setattr(module, "_kernel_exists", lambda: False)


def small(monkeypatch):
    monkeypatch.setattr(module, "_LEAST_BYTES", 257)


@pytest.mark.parametrize("prevented", [short_of_memory, without_kernel, small])
@torch.no_grad()
def test_where_packing_gains_nothing_layers_are_left_alone(packed, monkeypatch, prevented):
    layer = made_layer(nn.Linear, 8, 8, bias=False)
    prevented(monkeypatch)
    with fast(model_of(layer)):
        assert "forward" not in vars(layer)
    assert not packed
    monkeypatch.undo()  # and with the same layer it does gain
    monkeypatch.setattr(module, "_LEAST_BYTES", 256)
    with fast(model_of(layer)):
        assert "forward" in vars(layer)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@torch.no_grad()
def test_other_precisions_are_left_alone(packed, dtype):
    layer = made_layer(nn.Linear, 8, 8).to(dtype)
    with fast(model_of(layer)):
        assert "forward" not in vars(layer)
    assert not packed


def test_gradients_are_those_of_the_layers_themselves(packed):
    layers = made_layer(nn.Linear, 8, 12), NewGELUActivation(), made_layer(Conv1D, 12, 3)
    model, states = model_of(*layers), torch.randn(5, 8)
    with torch.no_grad(), fast(model):  # packed for other steps, which take no gradient
        assert len(packed) == 2
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
def test_layers_are_as_they_were_afterwards(packed):
    layers = made_layer(nn.Linear, 8, 8), NewGELUActivation(), made_layer(Conv1D, 8, 8)
    with fast(model_of(*layers)):
        assert all("forward" in vars(layer) for layer in layers)
    assert not any("forward" in vars(layer) for layer in layers)
    with pytest.raises(KeyError), fast(model_of(*layers)):
        raise KeyError
    assert not any("forward" in vars(layer) for layer in layers)


@torch.no_grad()
def test_layers_are_as_they_were_where_memory_runs_out_in_the_middle(monkeypatch):
    layers, packed = (made_layer(nn.Linear, 8, 8), made_layer(nn.Linear, 8, 8)), []

    def once(*args):
        if packed:
            raise MemoryError
        packed.append(args)
        return made(*args)

    made = module._Packed
    monkeypatch.setattr(module, "_Packed", once)
    with pytest.raises(MemoryError), fast(model_of(*layers)):
        pass
    assert not any("forward" in vars(layer) for layer in layers)


@torch.no_grad()
def test_what_another_program_put_into_a_layer_stays(packed):
    layer = made_layer(nn.Linear, 8, 9)
    layer.forward = lambda states: states * 2  # as accelerate's hooks do
    other, states = layer.forward, torch.randn(3, 8)
    model = model_of(layer, head=layer)
    with fast(model):
        assert torch.equal(model.base_model(states), states * 2)
    assert layer.forward is other
    assert torch.equal(likeliest(model, states)[0], (states * 2).amax(dim=1))
    assert not packed


@torch.no_grad()
def test_hooks_see_and_change_what_packed_layers_give(packed):
    layer, states = made_layer(nn.Linear, 8, 8), torch.randn(3, 8)
    layer.register_forward_hook(lambda module, args, output: output * 10)
    model = model_of(layer)
    with fast(model):
        found = model.base_model(states)
    assert layer in packed
    torch.testing.assert_close(found, 10 * product(layer, states), rtol=1e-5, atol=1e-4)


def head_of(vocabulary, **options):
    return model_of(head=made_layer(nn.Linear, 16, vocabulary, **options))


@pytest.fixture(params=[True, False], ids=["packed", "plain"])
def in_parts(request, monkeypatch):
    """Parts of 100 tokens where the head is packed; all tokens at once where it is not."""
    monkeypatch.setattr(module, "_TOKENS", 100)
    if not request.param:
        monkeypatch.setattr(module, "_kernel_exists", lambda: False)


@pytest.mark.parametrize("vocabulary", [5, 100, 130, 350])
@pytest.mark.parametrize("bias", [False, True])
@torch.no_grad()
def test_the_likeliest_token_is_that_of_all_logits(in_parts, vocabulary, bias):
    model = head_of(vocabulary, bias=bias)
    hidden = torch.randn(60, 16)
    largest, tokens = likeliest(model, hidden)
    logits = product(model.get_output_embeddings(), hidden)
    assert torch.equal(tokens, logits.argmax(dim=-1))
    torch.testing.assert_close(largest, logits.amax(dim=-1))
    assert vocabulary <= 100 or tokens.max() >= 100


@torch.no_grad()
def test_the_first_of_equal_logits_wins(in_parts):
    model = head_of(350, bias=False)
    weight = model.get_output_embeddings().weight
    weight.zero_()
    weight[[7, 99, 100, 340], 0] = 1.0
    weight[[199, 200], 1] = 1.0
    hidden = torch.zeros(3, 16)
    hidden[0, 0], hidden[1, 1], hidden[2, 0] = 2.0, 1.0, -1.0
    assert likeliest(model, hidden)[1].tolist() == [7, 199, 0]


@torch.no_grad()
def test_what_is_not_a_number_is_the_largest(in_parts):
    model = head_of(350)
    model.get_output_embeddings().weight[240] = torch.nan
    largest, tokens = likeliest(model, torch.ones(2, 16))
    assert largest.isnan().all()
    assert tokens.tolist() == [240, 240]


@torch.no_grad()
def test_a_head_of_another_kind_is_asked_as_it_is():
    head, hidden = nn.Sequential(nn.Linear(4, 9), nn.Tanh()), torch.randn(3, 4)
    logits = head(hidden)
    largest, tokens = likeliest(model_of(head=head), hidden)
    assert torch.equal(largest, logits.amax(dim=-1))
    assert torch.equal(tokens, logits.argmax(dim=-1))


def test_few_trained_numbers_are_noticed(packed):
    """A fused step raises no version, and few numbers are not among those compared."""
    layer, states = made_layer(nn.Linear, 64, 96), torch.randn(4, 64)
    other, model = made_layer(nn.Linear, 8, 8), model_of(layer)
    with torch.no_grad(), fast(model), fast(model_of(other)):
        assert len(packed) == 2
    optimizer = torch.optim.AdamW(layer.parameters(), lr=0.5, weight_decay=0.0, fused=True)
    layer.weight.grad, layer.bias.grad = torch.zeros_like(layer.weight), None
    layer.weight.grad[3, 5] = 1.0
    optimizer.step()
    assert list(packed) == [other]
    with torch.no_grad(), fast(model):
        found = model.base_model(states)
    torch.testing.assert_close(found, product(layer, states), rtol=1e-5, atol=1e-4)


@pytest.mark.filterwarnings("ignore:.*weight_norm.*deprecated:FutureWarning")
@torch.no_grad()
def test_weights_that_a_hook_makes_are_not_packed(packed):
    layer, states = nn.utils.weight_norm(made_layer(nn.Linear, 8, 8)), torch.randn(3, 8)
    model = model_of(layer)
    for _ in range(2):
        with fast(model):
            found = model.base_model(states)
        torch.testing.assert_close(found, layer(states))
        layer.weight_g *= 2
    assert not packed


@torch.no_grad()
def test_hooks_of_a_packed_head_and_of_all_modules_see_everything(packed):
    head, states = made_layer(nn.Linear, 8, 9), torch.randn(3, 8)
    model = model_of(made_layer(nn.Linear, 8, 8), head=head)
    best = likeliest(model, states)[1]
    assert head in packed
    expected = head(states).scatter(1, best[:, None], -torch.inf).max(dim=1)

    def ban(module, args, output):
        return output.scatter(1, best[:, None], -torch.inf) if module is head else None

    for register in (head.register_forward_hook, nn.modules.module.register_module_forward_hook):
        hook = register(ban)
        largest, tokens = likeliest(model, states)
        hook.remove()
        assert torch.equal(tokens, expected.indices)
        torch.testing.assert_close(largest, expected.values)


@torch.no_grad()
def test_whether_copies_fit_is_asked_once_a_prompt(packed, monkeypatch):
    asked = []
    monkeypatch.setattr(module, "free_memory", lambda device: asked.append(device) or 0)
    model = model_of(made_layer(nn.Linear, 8, 8), made_layer(nn.Linear, 8, 8))
    for prompts in range(3):
        drop_stale(model)
        for _ in range(4):
            with fast(model):
                assert not packed
        assert len(asked) == prompts + 1


@torch.no_grad()
def test_where_memory_has_run_out_nothing_is_packed_again(packed):
    model, other = (model_of(made_layer(nn.Linear, 8, 8)) for _ in range(2))
    with fast(model), fast(other):
        assert len(packed) == 2
    stop_packing(model)
    with fast(model):
        assert list(packed) == list(other.base_model)
