"""Gradients of two computations compared."""

import torch


def gradients(model, loss):
    """The gradient of every weight that has one; the model's are cleared."""
    model.zero_grad()
    loss.backward()
    found = {n: w.grad.clone() for n, w in model.named_parameters() if w.grad is not None}
    model.zero_grad()
    return found


def assert_same(left, right, *, within=1e-9):
    """Equal up to a share of the largest, weight by weight."""
    assert left.keys() == right.keys()
    for name, value in left.items():
        scale = float(right[name].abs().max())
        torch.testing.assert_close(value, right[name], rtol=0, atol=within * scale + 1e-15)
