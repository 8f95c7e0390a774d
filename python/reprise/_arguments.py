"""Checks of what the package's functions are given, by the annotations of their parameters.

A check takes a parameter's name and the value that was given. It returns the value as the library takes it (NumPy's and
PyTorch's numbers become Python's), or raises a TypeError or ValueError of one line that names the parameter, what was found and
what was expected.
"""

from __future__ import annotations

import functools
import inspect
import json
import operator
import os
import pathlib
import reprlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ParamSpec, TypeAlias, TypeVar

from reprise import _name

_name.check()  # every part of the package imports this one

Check = Callable[[str, Any], Any]
P = ParamSpec("P")
R = TypeVar("R")

Seed: TypeAlias = int
"""What PyTorch takes as a seed: from -2**63 to 2**64 - 1."""
Natural: TypeAlias = int
"""From 0 on."""
Positive: TypeAlias = int
"""From 1 on."""
Large: TypeAlias = int
"""64 bits."""
Shape: TypeAlias = Sequence[int]
"""An array's."""

_short = reprlib.Repr()
_short.maxstring = _short.maxother = 60
_short.maxlist = _short.maxtuple = _short.maxset = _short.maxfrozenset = _short.maxdict = 4
_short.maxlevel = 2


def found(value: Any) -> str:
    """The value in a few words on one line."""
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and shape:
        kind = type(value)
        return f"{kind.__module__.split('.')[0]}.{kind.__name__} of {value.dtype} {tuple(shape)}"
    try:
        return " ".join(_short.repr(value).split())
    except Exception:  # such as an int of more digits than Python prints
        return f"of {type(value).__name__}"


def refused(name: str, value: Any, expected: str, kind: type[Exception] = TypeError) -> Exception:
    return kind(f"{name} is {found(value)}; expected {expected}")


def _is_scalar(value: Any) -> bool:
    return getattr(value, "ndim", 0) == 0 and not isinstance(value, (str, bytes, bytearray))


def _is_truth(value: Any) -> bool:
    return isinstance(value, bool) or (_is_scalar(value) and str(getattr(value, "dtype", "")).split(".")[-1] == "bool")


def integer(name: str, value: Any, low: int = -(2**31), high: int = 2**31 - 1, kind: str = "an integer") -> int:
    try:
        if _is_truth(value) or not _is_scalar(value):
            raise TypeError
        number = operator.index(value)
    except Exception:
        raise refused(name, value, kind) from None
    if not low <= number <= high:
        limits = f"{kind} from {low} to {high}" if low not in (0, 1) else f"{kind} from {low} on"
        raise refused(name, number, limits, ValueError)
    return number


def number(name: str, value: Any) -> float:
    try:
        if _is_truth(value) or not _is_scalar(value) or isinstance(value, complex):
            raise TypeError
        if not hasattr(value, "__float__") and not hasattr(value, "__index__"):
            raise TypeError
        return float(value)
    except OverflowError:
        raise refused(name, value, "a number that a double has", ValueError) from None
    except Exception:
        raise refused(name, value, "a number") from None


def boolean(name: str, value: Any) -> bool:
    if not _is_truth(value):
        raise refused(name, value, "True or False")
    return bool(value)


def text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise refused(name, value, "a str")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise refused(name, value, "text without halves of surrogate pairs", ValueError) from None
    return str(value)


def path(name: str, value: Any) -> str:
    try:
        where = os.fspath(value)
        if not isinstance(where, str):
            raise TypeError
    except Exception:
        raise refused(name, value, "a path: a str or os.PathLike") from None
    try:
        if b"\0" in os.fsencode(where):
            raise ValueError
    except ValueError:
        raise refused(name, value, "a path that a file can have", ValueError) from None
    return where


def several(name: str, value: Any, check: Check, kind: str) -> list[Any]:
    """A list of any iterable but texts and mappings."""
    if isinstance(value, (str, bytes, bytearray, Mapping)) or not isinstance(value, Iterable):
        raise refused(name, value, f"a list of {kind}")
    try:
        items = iter(value)
    except TypeError:  # an array without dimensions
        raise refused(name, value, f"a list of {kind}") from None
    return [check(f"{name}[{i}]", item) for i, item in enumerate(items)]


def integers(name: str, value: Any) -> list[int]:
    return several(name, value, integer, "integers")


def numbers(name: str, value: Any) -> list[float]:
    return several(name, value, number, "numbers")


def texts(name: str, value: Any) -> list[str]:
    """A str is a list of one."""
    return [text(name, value)] if isinstance(value, str) else several(name, value, text, "str")


def text_or_texts(name: str, value: Any) -> str | list[str]:
    if isinstance(value, str):
        return text(name, value)
    if isinstance(value, (bytes, bytearray, Mapping)) or not isinstance(value, Iterable):
        raise refused(name, value, "a str or a list of them")
    found_texts = texts(name, value)
    if not found_texts:
        raise ValueError(f"{name} is an empty list; expected at least one text")
    return found_texts


def seed(name: str, value: Any) -> int:
    """As PyTorch takes it; a negative one becomes its two's complement."""
    return integer(name, value, -(2**63), 2**64 - 1) % 2**64


def seeds(name: str, value: Any) -> list[int]:
    return several(name, value, seed, "integers")


def natural(name: str, value: Any) -> int:
    return integer(name, value, 0)


def positive(name: str, value: Any) -> int:
    return integer(name, value, 1)


def large(name: str, value: Any) -> int:
    return integer(name, value, -(2**63), 2**63 - 1)


def size(name: str, value: Any) -> tuple[int, int]:
    """(height, width), or another pair."""
    pair = several(name, value, integer, "two integers")
    if len(pair) != 2:
        raise refused(name, value, "two integers", ValueError)
    return pair[0], pair[1]


def shape(name: str, value: Any) -> list[int]:
    return several(name, value, lambda part, length: integer(part, length, 0, 2**31 - 1), "integers")


def floats(name: str, value: Any) -> Any:
    """A contiguous array of float32; the same array where it is one already. PyTorch's are taken off their graph and device."""
    import numpy

    try:
        if hasattr(value, "detach"):
            value = value.detach().cpu().float().numpy()
        array = numpy.asarray(value)
        if array.dtype.kind not in "biuf":
            raise TypeError
        with numpy.errstate(over="ignore"):
            return numpy.ascontiguousarray(array, numpy.float32).reshape(array.shape)
    except Exception:
        raise refused(name, value, "an array of numbers") from None


def function(name: str, value: Any) -> Any:
    if not callable(value):
        raise refused(name, value, "a function")
    return value


def plain(value: Any) -> Any:
    """What JSON has in the place of what it has not: arrays, ranges and sets, as lists."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, (range, set, frozenset)):
        return list(value)
    raise TypeError(found(value))


def unchecked(_name: str, value: Any) -> Any:
    return value


def _pipeline(name: str, value: Any) -> Any:
    from reprise._pipeline import Pipeline

    if not isinstance(value, Pipeline):
        raise refused(name, _kind_of(value), "a reprise.Pipeline; this is not for pipelines of diffusers")
    return value


def _any_pipeline(name: str, value: Any) -> Any:
    from reprise._pipeline import Pipeline

    if isinstance(value, Pipeline):
        return value
    has_denoiser = any(getattr(value, part, None) is not None for part in ("unet", "transformer"))
    if not has_denoiser or not hasattr(value, "scheduler"):
        raise refused(name, _kind_of(value), "a reprise.Pipeline or a pipeline of diffusers with a denoiser")
    return value


def _profile(name: str, value: Any) -> Any:
    from reprise._tune import Profile

    if not isinstance(value, Profile):
        raise refused(name, value, "a reprise.Profile")
    return value


def _job(name: str, value: Any) -> Any:
    from reprise.ray import Job

    if not isinstance(value, Job):
        raise refused(name, value, "a reprise.ray.Job")
    return value


def _renderer(name: str, value: Any) -> Any:
    from reprise.ray import Renderer

    if not isinstance(value, type) or not issubclass(value, Renderer):
        raise refused(name, value, "a class like reprise.ray.Renderer")
    return value


def _prompts_or_file(name: str, value: Any) -> Any:
    """A str may be a prompt or a file's name; it is neither."""
    if isinstance(value, os.PathLike):
        where = path(name, value)
        if not os.path.isfile(where):
            raise FileNotFoundError(f"{name} is {found(where)}: there is no such file")
        return pathlib.Path(where)
    if isinstance(value, str):
        raise refused(name, value, "a list of prompts, or a pathlib.Path of a file with a prompt on each line")
    return texts(name, value)


def _result_format(name: str, value: Any) -> Any:
    from reprise.ray import Writers

    if text(name, value) not in Writers:
        raise refused(name, value, f"one of {', '.join(Writers)}", ValueError)
    return value


def config_json(config: list[Any]) -> str:
    """A configuration without functions as JSON."""
    for number, entry in enumerate(config):
        for key, value in entry.items() if isinstance(entry, dict) else [("it", entry)]:
            try:
                json.dumps(value, default=plain)
            except (TypeError, ValueError, RecursionError):
                raise refused(f"config, entry {number}: {key}", value, "a function, or what JSON has") from None
    try:
        return json.dumps(config, default=plain)
    except (TypeError, ValueError):  # a key
        raise TypeError(f"the cache configuration is {found(config)}; expected keys that are str") from None


def _entries(name: str, value: Any) -> list[Any]:
    if not isinstance(value, (list, tuple)):
        raise refused(name, value, "a list of dicts")
    return list(value)


def _config(name: str, value: Any) -> Any:
    return text(name, value) if isinstance(value, str) else _entries(name, value)


def _reuse(name: str, value: Any) -> Any:
    if not isinstance(value, Mapping):
        return _config(name, value)
    return {text(f"a key of {name}", key): _config(f"{name}[{key!r}]", own) for key, own in value.items()}


def _steps_or_config(name: str, value: Any) -> Any:
    return _config(name, value) if isinstance(value, (str, list, tuple, dict)) else integer(name, value)


def _ways(name: str, value: Any) -> Any:
    if not isinstance(value, Mapping):
        raise refused(name, value, "a dict of configurations or policies' names, under names for people")
    return {text(f"a key of {name}", key): way for key, way in value.items()}


class _Kind:
    """A value of which the kind alone is shown."""

    def __init__(self, words: str) -> None:
        self._words = words

    def __repr__(self) -> str:
        return self._words


def _kind_of(value: Any) -> Any:
    """Pipelines of diffusers print pages."""
    is_plain = value is None or isinstance(value, (bool, int, float, str, bytes, list, tuple, dict, set))
    return value if is_plain or hasattr(value, "shape") else _Kind(f"of {type(value).__module__}.{type(value).__qualname__}")


#: By annotation, without its "| None".
CHECKS: dict[str, Check] = {
    "int": integer,
    "float": number,
    "bool": boolean,
    "str": text,
    "str | os.PathLike[str]": path,
    "Sequence[int]": integers,
    "Sequence[float]": numbers,
    "Sequence[str]": texts,
    "str | Sequence[str]": text_or_texts,
    "tuple[int, int]": size,
    "Seed": seed,
    "Sequence[Seed]": seeds,
    "Natural": natural,
    "Positive": positive,
    "Large": large,
    "Shape": shape,
    "numpy.typing.ArrayLike": floats,
    "Sequence[Sequence[int]]": lambda name, value: several(name, value, integers, "lists of integers"),
    # which of them there are the library says
    "Count": text,
    "Pipeline": _pipeline,
    "AnyPipeline": _any_pipeline,
    "Pipe": _any_pipeline,
    "Profile": _profile,
    "Job": _job,
    "type[Renderer]": _renderer,
    "Iterable[str] | os.PathLike[str]": _prompts_or_file,
    "ResultFormat": _result_format,
    # the rest is checked where it is converted
    "int | str | Sequence[Entry]": _steps_or_config,
    "str | Sequence[Entry]": _config,
    "str | Sequence[Entry] | Mapping[str, str | Sequence[Entry]]": _reuse,
    "Sequence[Entry]": _entries,
    "Mapping[str, str | Sequence[cachify.Entry]]": _ways,
    "ImageLike": unchecked,
    "Sequence[ImageLike]": unchecked,
    "Any": unchecked,
}


def check_of(annotation: str) -> Check:
    """KeyError for an annotation that the table does not have."""
    wanted = annotation.removesuffix(" | None")
    special: dict[str, Check] = {"Callable": function, "Literal": text}  # which choices there are the library says
    check = special.get(wanted.split("[")[0]) or CHECKS[wanted]
    if wanted == annotation:
        return check
    return lambda name, value: None if value is None else check(name, value)


def checks_of(callee: Callable[..., Any]) -> dict[str, Check]:
    """For each parameter but `self`, `cls` and those that gather others."""
    parameters = inspect.signature(callee).parameters.values()
    gathering = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {
        parameter.name: check_of(parameter.annotation)
        for parameter in parameters
        if parameter.kind not in gathering and parameter.name not in ("self", "cls")
    }


def checked(callee: Callable[P, R]) -> Callable[P, R]:
    """The function with its arguments checked by their annotations."""
    checks = checks_of(callee)
    signature = inspect.signature(callee)

    @functools.wraps(callee)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            given = signature.bind(*args, **kwargs)
        except TypeError:
            return callee(*args, **kwargs)  # which says it with its own name
        for name, value in given.arguments.items():
            if name in checks:
                given.arguments[name] = checks[name](name, value)
        return callee(*given.args, **given.kwargs)

    return call
