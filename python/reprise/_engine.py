"""Loads the extension module with the engine that it is linked with."""

import ctypes
import importlib
import importlib.util
from pathlib import Path


def load_core() -> None:
    """Imports `reprise._core`; where the linker does not find OpenVINO beside it, from wherever Python does."""
    try:
        importlib.import_module("reprise._core")
    except ImportError as error:
        if "libopenvino" not in str(error):
            raise
        _load_openvino(error)
        importlib.import_module("reprise._core")


def _load_openvino(reason: ImportError) -> None:
    spec = importlib.util.find_spec("openvino")  # does not import it
    for place in (spec and spec.submodule_search_locations) or ():
        for library in (Path(place) / "libs").glob("libopenvino.so.*"):
            ctypes.CDLL(str(library))
            return
    raise ImportError(f"reprise needs the package openvino, of the version that it was built with: {reason}") from None
