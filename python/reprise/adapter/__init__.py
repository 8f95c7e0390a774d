"""Reuse on pipelines of diffusers, for `reprise.cachify`. Imported, and torch with it, only when one is given."""

from __future__ import annotations

from typing import Any

from reprise.adapter.families import denoiser_of, modules_of
from reprise.adapter.reuse import Reuse, reuse_of

__all__ = ["modules_of", "prepare", "prepared", "unprepare"]


def prepare(pipe: Any, num_inference_steps: int | None, config: list[Any], count: str, advises: bool = True) -> None:
    """Installs reuse on the denoiser's own modules. Checks the configuration first: for this number of steps of the
    pipeline's scheduler, or, where none is given, when the next call sets its timesteps.

    advises: whether it warns where nothing is reused."""
    denoiser = denoiser_of(pipe)
    reuse = Reuse(pipe, denoiser, modules_of(pipe), config, count, advises)
    reuse.check(num_inference_steps)
    unprepare(pipe)
    reuse.install()


def unprepare(pipe: Any) -> None:
    reuse = reuse_of(denoiser_of(pipe))
    if reuse is not None:
        reuse.remove()


def prepared(pipe: Any, what: str) -> Reuse:
    reuse = reuse_of(denoiser_of(pipe))
    if reuse is None:
        raise ValueError(f"{what} needs a pipeline that was prepared: call cachify.prepare first")
    return reuse
