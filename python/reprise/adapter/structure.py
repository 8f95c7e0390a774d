"""Module outputs of any structure: tensors, and tuples, lists, dicts and dataclasses of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch


def combined(function: Callable[..., torch.Tensor], first: Any, *others: Any) -> Any:
    """A structure like the first, in which each tensor is the function of those at its place in all of them. What is no
    tensor is the first's."""
    if isinstance(first, torch.Tensor):
        return function(first, *others)
    parts = parts_of(first)
    if parts is None:
        return first
    columns = zip(parts, *(parts_of(other) or () for other in others), strict=True)
    return with_parts(first, [combined(function, *column) for column in columns])


def copied(value: Any) -> Any:
    """A copy that shares no tensor's memory with the original."""
    return combined(lambda tensor: tensor.detach().clone(), value)


def parts_of(value: Any) -> list[Any] | None:
    """What a structure holds, in order; None for what is no structure."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, field.name) for field in dataclasses.fields(value)]
    if isinstance(value, dict):
        return list(value.values())
    if isinstance(value, (tuple, list)):
        return list(value)
    return None


def with_parts(like: Any, parts: list[Any]) -> Any:
    """A structure like that one with other parts."""
    made: Any = type(like)
    if dataclasses.is_dataclass(like):
        names = [field.name for field in dataclasses.fields(like)]
        return made(**dict(zip(names, parts, strict=True)))
    if isinstance(like, dict):
        return made(zip(like, parts, strict=True))
    if hasattr(like, "_fields"):  # a named tuple
        return made(*parts)
    return made(parts)
