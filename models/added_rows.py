"""Rows of embedding and head that an adapter's training added, and which of them nobody knows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

Trained = list[int] | dict[str, list[int]]


@dataclass(frozen=True)
class AddedRows:
    """How many tokens a checkpoint has with an adapter, and which rows nobody knows.

    Attributes:
        known: rows of the checkpoint's embedding.
        size: rows with the adapter.
        without_embedding: ids whose embedding is in no file.
        without_head: ids whose row of the head is in no file; they can never be answered.
    """

    known: int
    size: int
    without_embedding: frozenset[int]
    without_head: frozenset[int]

    @classmethod
    def find(cls, model: Any, tensors: Mapping[str, torch.Tensor], trained: Trained) -> "AddedRows":
        """Return what an adapter says of a model's tokens.

        Args:
            model: without the adapter.
            tensors: the adapter's weights by name.
            trained: ids of the tokens that alone were trained, or those of each module.
        """
        embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
        known = embedding.weight.shape[0]
        names = {module: name for name, module in model.named_modules()}
        tables = [embedding, *([] if head is None else [head])]
        kept = [_rows(tensors, trained, names[table], table.weight.shape[1]) for table in tables]
        if head is not None and head.weight is embedding.weight:
            kept = [kept[0] | kept[1]] * 2
        size = max(known, *(max(rows, default=-1) + 1 for rows in kept))
        new = frozenset(range(known, size))
        return cls(known, size, new - kept[0], new - kept[-1] if head is not None else new)


def _rows(
    tensors: Mapping[str, torch.Tensor], trained: Trained, table: str, width: int
) -> frozenset[int]:
    """Return the ids of which an adapter has the row of a table, whole or as a change."""
    full = [
        tensor.shape[0]
        for name, tensor in tensors.items()
        if f".{table}." in name and name.endswith(".weight") and "lora_" not in name
        if tensor.ndim == 2 and tensor.shape[1] == width
    ]
    if isinstance(trained, dict):
        of_table = (ids for name, ids in trained.items() if table.endswith(name))
        trained = [index for ids in of_table for index in ids]
    elif not any(f".{table}." in name and "trainable_tokens" in name for name in tensors):
        trained = []
    return frozenset(range(max(full, default=0))) | frozenset(trained)
