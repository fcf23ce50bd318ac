"""Rows select, repeat and leave, and take along what is theirs."""

import pytest
import torch

from latent_tts.models.engine.cache import Group, RowCache
from latent_tts.models.engine.prompts import Prompts, Slots
from tests.models.engine.held import held_bytes

FIRST = 16  # positions that a row's buffer begins with


def made_prompts(count):
    """One layer of prompts of three positions, whose numbers say which prompt it is."""
    keys = torch.arange(count).view(-1, 1, 1, 1).expand(-1, 2, 3, 1).float().clone()
    return Prompts((keys,), (-keys,), torch.full((count,), 3), None)


def made_group(owners, *, prompts=4, length=20, names=None):
    """A group of rows that have read `length` positions; row r's hold 100 * r + position."""
    names = range(len(owners)) if names is None else names
    group = Group(made_prompts(prompts), torch.tensor(owners))
    read(RowCache(group), names, range(length))
    return group


def read(cache, names, positions):
    """Let the rows of a cache, called `names`, read the next positions."""
    for position in positions:
        own = (100.0 * torch.tensor(list(names)) + position).view(-1, 1, 1, 1).expand(-1, 2, 1, 1)
        cache.update(own, -own, 0)


def owned(cache, *, length=20):
    """The names of the rows and of their prompts, as their keys and values have them."""
    names, prompts = [], []
    for group in cache.groups:
        assert group.length == length
        keys, values = (
            group.slots.gather(torch.as_tensor(states[0]))[:, :, :length]
            for states in (group.keys, group.values)
        )
        assert torch.equal(values, -keys)
        assert torch.equal(keys - keys[:, :, :1], torch.arange(length)[:, None].expand_as(keys))
        names += (keys[:, 1, 0, 0] / 100).int().tolist()
        prompts += group.prompts.keys[0][group.owners, 0, 0, 0].int().tolist()
    return names, prompts


def stays(names, staying):
    return torch.tensor([name in staying for name in names])


def leave(cache, stays):
    cache.leave(stays, stays.tolist())


@pytest.mark.parametrize("owners", [[0, 0, 1, 1, 2, 2], [3, 0, 1, 0, 2, 2]])
@pytest.mark.parametrize("chosen", [[0, 1, 2, 3, 4, 5], [5, 5, 2, 0], [4], [1, 0, 1, 0, 1, 0, 1]])
def test_rows_take_their_positions_and_prompts_along(owners, chosen):
    cache = RowCache(made_group(owners))
    other = cache.select(torch.tensor(chosen))
    assert owned(other) == (chosen, [owners[name] for name in chosen])
    read(other, [7] * len(chosen), [0])  # what they read next is nothing to the first
    assert owned(cache) == (list(range(6)), owners)


@pytest.mark.parametrize("length", [0, 1, 19])
def test_rows_may_forget_their_last_positions(length):
    cache = RowCache(made_group([0, 0, 1])).select(torch.tensor([2, 0]), length=length)
    read(cache, [2, 0], range(length, 25))
    assert owned(cache, length=25) == ([2, 0], [1, 0])


def test_rows_that_leave_leave_empty_slots_until_half_are_empty():
    names, owners = list(range(8)), [0, 0, 0, 0, 1, 1, 1, 1]
    cache = RowCache(made_group(owners, prompts=2))
    before = held_bytes(cache)
    for gone in (6, 0, 3):
        leave(cache, stays(names, set(names) - {gone}))
        names.remove(gone)
        assert owned(cache) == (names, [owners[name] for name in names])
        assert held_bytes(cache) == before
        assert cache.groups[0].slots.count == 8
    leave(cache, stays(names, {1, 2, 4, 7}))
    assert owned(cache) == ([1, 2, 4, 7], [0, 0, 1, 1])
    assert cache.groups[0].slots.count == 4
    rows = 2 * 2 * (2 * FIRST) * 4  # keys and values of two heads and one number each
    assert before - held_bytes(cache) == 4 * rows
    read(cache, [1, 2, 4, 7], [20])
    assert owned(cache, length=21) == ([1, 2, 4, 7], [0, 0, 1, 1])


def test_rows_read_on_among_empty_slots():
    cache = RowCache(made_group([1, 0, 1, 2, 2, 2]))
    leave(cache, torch.tensor([True, True, False, True, True, True]))
    read(cache, [0, 1, 3, 4, 5], range(20, 70))
    assert owned(cache, length=70) == ([0, 1, 3, 4, 5], [1, 0, 2, 2, 2])


def test_prompts_that_nobody_reads_are_dropped_when_they_are_many():
    cache = RowCache(made_group(list(range(8)), prompts=8))
    leave(cache, stays(range(8), {0, 2, 3, 5, 7}))
    assert len(cache.groups[0].prompts) == 8
    leave(cache, stays([0, 2, 3, 5, 7], {0, 5, 7}))
    assert len(cache.groups[0].prompts) == 3
    assert owned(cache) == ([0, 5, 7], [0, 5, 7])


def test_buffers_grow_and_keep_what_they_hold():
    group, sizes = made_group([0, 1, 1], length=1), set()
    for position in range(1, 120):
        read(RowCache(group), range(3), [position])
        sizes.add(group.keys[0].shape[2])
    assert owned(RowCache(group), length=120) == ([0, 1, 2], [0, 1, 1])
    assert sorted(sizes) == [FIRST, 2 * FIRST, 4 * FIRST, 8 * FIRST]


def test_groups_that_began_apart_go_on_together():
    first, second = made_group([0, 0, 1], names=[0, 1, 2]), made_group([2, 3], names=[3, 4])
    cache = RowCache(first, second, made_group([1], names=[5]))
    assert owned(cache) == ([0, 1, 2, 3, 4, 5], [0, 0, 1, 2, 3, 1])
    leave(cache, stays(range(6), {0, 2, 3, 4}))
    assert len(cache.groups) == 2  # a group without rows is gone
    assert cache.groups[1] is second
    read(cache, [0, 2, 3, 4], range(20, 40))
    assert owned(cache, length=40) == ([0, 2, 3, 4], [0, 1, 2, 3])
    leave(cache, stays([0, 2, 3, 4], {4}))
    assert owned(cache, length=40) == ([4], [3])
    leave(cache, torch.tensor([False]))
    assert cache.groups == []


def test_what_groups_share_counts_once():
    prompts, rows = made_prompts(4), 2 * 2 * FIRST * 4
    groups = [Group(prompts, torch.tensor(owners)) for owners in ([0, 1], [1, 1, 2])]
    cache = RowCache(*groups)
    read(cache, range(5), range(3))
    slots = 4 * 1 + 4 * 2  # prompts without rows have slots too
    assert held_bytes(cache) == 2 * 4 * 2 * 3 * 4 + slots * rows


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("count", [1, 3])
def test_a_row_attends_to_its_prompt_and_its_own_positions(padded, count):
    random = torch.Generator().manual_seed(3)

    def numbers(*shape):
        return torch.randn(shape, generator=random)

    mask = torch.tensor([[1, 1, 1, 1], [0, 0, 1, 1], [0, 1, 1, 1]]).bool()
    mask = mask if padded else torch.ones_like(mask)
    prompts = Prompts(
        (numbers(3, 2, 4, 5),), (numbers(3, 2, 4, 5),), mask.sum(1), mask if padded else None
    )
    owners, keep = torch.tensor([2, 0, 0, 1, 2, 0]), torch.tensor([0, 1, 2, 3, 5])
    keys, values, query = numbers(6, 2, 9, 5), numbers(6, 2, 9, 5), numbers(5, 4, count, 5)
    group = Group(prompts, owners)
    group.append(0, keys[:, :, :-count], values[:, :, :-count])
    group = group.leave(keep)
    group.append(0, keys[keep, :, -count:], values[keep, :, -count:])
    found = group.attend(0, query.reshape(5, 2, -1, 5), count, 0.0).reshape(5, 4, count, 5)
    for row, (name, owner) in enumerate(zip(keep, owners[keep], strict=True)):
        for head in range(4):
            shared = head // 2  # two query heads of each key-value head
            there = mask[owner]
            all_keys = torch.cat((prompts.keys[0][owner, shared, there], keys[name, shared]))
            all_values = torch.cat((prompts.values[0][owner, shared, there], values[name, shared]))
            for last in range(count):
                end = len(all_keys) - count + 1 + last
                weights = (all_keys[:end] @ query[row, head, last]).softmax(dim=0)
                torch.testing.assert_close(found[row, head, last], weights @ all_values[:end])


@pytest.mark.parametrize(
    ("owners", "prompts", "width", "index"),
    [
        ([0, 0, 1, 1], 2, 2, None),
        ([1, 0, 1], 2, 2, [2, 0, 3]),
        ([0, 0, 2], 3, 2, [0, 1, 4]),
        ([1, 1, 0, 0], 2, 2, [2, 3, 0, 1]),
        ([0, 1], 3, 1, [0, 1]),
    ],
)
def test_rows_have_slots_by_prompt(owners, prompts, width, index):
    slots = Slots.of(torch.tensor(owners), prompts)
    assert (slots.prompts, slots.width, slots.count) == (prompts, width, prompts * width)
    assert (None if slots.index is None else slots.index.tolist()) == index
    rows = torch.arange(1.0, len(owners) * 30 + 1).view(len(owners), 3, 2, 5)
    laid_out = slots.scatter(rows)
    assert torch.equal(slots.gather(laid_out), rows)
    assert laid_out.sum() == rows.sum()  # empty slots are zero
    grouped = slots.by_prompt(laid_out)
    assert grouped.shape == (prompts, 3, width * 2, 5)
    assert torch.equal(slots.by_row(grouped), laid_out)
    for owner, row in zip(owners, rows, strict=True):
        parts = grouped[owner].split(2, dim=1)
        assert sum(torch.equal(part, row) for part in parts) == 1
