"""The options of calls and of opening a folder, from the library's table of them: signatures, checks, and the stub `_options.pyi`
(`python -c "from reprise import _options; print(_options.stub(), end='')"`)."""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Callable, Iterable
from typing import Any, ParamSpec, TypeVar

from reprise import _core
from reprise._arguments import Check, check_of

P = ParamSpec("P")
R = TypeVar("R")


@dataclasses.dataclass(frozen=True)
class Option:
    """An option as Python has it."""

    name: str
    row: str
    """Its name in the library's table: "video.fps" of "fps"."""
    annotation: str
    default: Any
    is_text: bool = False
    """Whether it says what is drawn, of which lists have one for each prompt."""
    choices: tuple[str, ...] = ()
    is_attached: bool = False
    """Whether it is given as a picture or an array."""

    def parameter(self) -> inspect.Parameter:
        return inspect.Parameter(self.name, inspect.Parameter.KEYWORD_ONLY, default=self.default, annotation=self.annotation)

    def check(self) -> Check:
        return check_of(self.annotation)


_TEXTS = ("texts", "second_text", "third_text")
#: How texts become embeddings.
_ENCODING = (*_TEXTS, "clip_layers", "t5_tokens", "captions")
#: Rows that Python has in another form: a prompt or several are one argument, and functions have forms of their own.
_OTHERWISE = ("prompt", "prompts", "prompt_texts", "embeddings")
_ANNOTATIONS = {
    "boolean": "bool", "integer": "int", "number": "float", "text": "str", "integers": "Sequence[int]", "texts": "Sequence[str]",
    "pair": "tuple[int, int]", "reuse": "str | Sequence[Entry] | Mapping[str, str | Sequence[Entry]]",
}  # fmt: skip
_ATTACHED = {"image": "ImageLike", "latents": "numpy.typing.ArrayLike", "start_latents": "numpy.typing.ArrayLike"}


def _option(row: dict[str, Any]) -> Option:
    name = row["name"].rsplit(".", 1)[-1]
    default = tuple(row["default"]) if isinstance(row["default"], list) else row["default"]
    choices = tuple(row["names"]) if row["names"] and not row["others"] else ()
    annotation = _ATTACHED[name] if row["type"] == "attached" else _ANNOTATIONS[row["type"]]
    if row["wide"] and row["type"] == "integer":
        annotation = "Seed" if name == "seed" else "Large"
    elif choices:
        words = ("auto", *choices) if row["optional"] else choices
        annotation = f"Literal[{', '.join(json.dumps(word) for word in words)}]"
    is_text = row["about"] in _TEXTS and row["type"] == "text"
    if is_text:
        annotation = "str | Sequence[str]"
    # where the library's default stands for "as the model has it", Python's is None
    if row["type"] == "attached" or (default == "" and row["about"] != "load") or (default == 0 and annotation == "int"
                                                                                 and row["about"] != "load"):  # fmt: skip
        default = None
    if default is None:
        annotation += " | None"
    return Option(name, row["name"], annotation, default, is_text, choices, row["type"] == "attached")


def _options(of_opening: bool, wanted: Callable[[dict[str, Any]], bool] = lambda _row: True) -> dict[str, Option]:
    rows = [row for row in json.loads(_core.option_rows(of_opening)) if row["type"] != "callback" and wanted(row)]
    options = [_option(row) for row in rows if row["name"] not in _OTHERWISE]
    return {option.name: option for option in options}


#: Of opening a folder.
LOAD = _options(True)
#: Of a call, but for what is Python's alone.
CALL = {
    name: Option(name, "embeddings", "numpy.typing.ArrayLike | None", None, is_attached=True)
    for name in _core.embedding_names()
} | _options(False)
#: Of `encode_prompt`.
ENCODE = _options(False, lambda row: row["about"] in _ENCODING)


def takes(options: dict[str, Option]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """The function with these options as its signature has them, in the place of those that it gathers."""

    def add(callee: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(callee)
        own = [each for each in signature.parameters.values() if each.kind is not inspect.Parameter.VAR_KEYWORD]
        parameters = [*own, *(option.parameter() for option in options.values())]
        parameters.sort(key=lambda parameter: parameter.kind)
        callee.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        return callee

    return add


def unknown(callee: str, names: Iterable[str], options: dict[str, Option]) -> None:
    """TypeError for a name that is none of the options."""
    for name in names:
        if name not in options:
            raise TypeError(f"{callee} has no option {name!r}")


def load_values(given: dict[str, Any]) -> dict[str, object]:
    """What the library takes, by its rows' names."""
    values: dict[str, object] = {}
    for name, value in given.items():
        option = LOAD[name]
        automatic = bool(option.choices) and value == "auto"
        if value is not None and not automatic:
            values[option.row] = value
    return values


def _typed(name: str, options: dict[str, Option]) -> list[str]:
    return [
        f"class {name}(TypedDict, total=False):",
        *(f"    {each.name}: {each.annotation}" for each in options.values()),
        "",
    ]


def stub() -> str:
    """The text of `_options.pyi`."""
    lines = [
        "# Written from the library's table of options by reprise._options.stub().",
        "import os",
        "from collections.abc import Callable, Iterable, Mapping, Sequence",
        "from typing import Any, Literal, ParamSpec, TypedDict, TypeVar",
        "",
        "import numpy",
        "import numpy.typing",
        "import PIL.Image",
        "",
        "from reprise._arguments import Check, Large, Seed",
        "from reprise.cachify import Entry",
        "",
        "ImageLike = PIL.Image.Image | numpy.typing.NDArray[numpy.uint8] | str | os.PathLike[str]",
        'P = ParamSpec("P")',
        'R = TypeVar("R")',
        "",
        *_typed("CallOptions", CALL),
        *_typed("EncodeOptions", ENCODE),
        *_typed("LoadOptions", LOAD),
        "class Option:",
        "    name: str",
        "    row: str",
        "    annotation: str",
        "    default: Any",
        "    is_text: bool",
        "    choices: tuple[str, ...]",
        "    is_attached: bool",
        "    def check(self) -> Check: ...",
        "",
        "LOAD: dict[str, Option]",
        "CALL: dict[str, Option]",
        "ENCODE: dict[str, Option]",
        "",
        "def takes(options: dict[str, Option]) -> Callable[[Callable[P, R]], Callable[P, R]]: ...",
        "def unknown(callee: str, names: Iterable[str], options: dict[str, Option]) -> None: ...",
        "def load_values(given: dict[str, Any]) -> dict[str, object]: ...",
        "def stub() -> str: ...",
        "",
    ]
    return "\n".join(lines)
