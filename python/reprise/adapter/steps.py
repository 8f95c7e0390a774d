"""Sampler steps of diffusers' schedulers: which step each evaluation of the denoiser belongs to, and counting them."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Any


def steps_of_evaluations(scheduler: Any) -> list[int]:
    """For each evaluation of a run whose timesteps are set, the sampler's step, from 0."""
    evaluations = range(len(scheduler.timesteps))
    if type(scheduler).__name__ == "PNDMScheduler":
        if scheduler.config.skip_prk_steps:
            return [max(0, e - 1) for e in evaluations]
        runge_kutta = len(scheduler.prk_timesteps)  # three steps of four
        return [e // 4 if e < runge_kutta else e - runge_kutta + runge_kutta // 4 for e in evaluations]
    return [e // scheduler.order for e in evaluations]


class Counter:
    """Hooks on a scheduler, which tell when timesteps are set and when an evaluation is over."""

    def __init__(self, on_set_timesteps: Callable[[], None], on_step: Callable[[], None]) -> None:
        self._on = {"set_timesteps": on_set_timesteps, "step": on_step}
        self.scheduler: Any = None

    def attach(self, scheduler: Any) -> None:
        self.detach()
        self.scheduler = scheduler
        for name, then in self._on.items():
            vars(scheduler)[name] = _Hook(getattr(scheduler, name), then)

    def detach(self) -> None:
        if self.scheduler is None:
            return
        for name in self._on:
            hook = vars(self.scheduler).get(name)
            if isinstance(hook, _Hook):
                del vars(self.scheduler)[name]
        self.scheduler = None


class _Hook:
    """A scheduler's method with something after it. A copy of the scheduler has the plain method again."""

    def __init__(self, method: Any, then: Callable[[], None]) -> None:
        self._method, self._then = method, then
        functools.update_wrapper(self, method, updated=())  # pipelines look at its parameters

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        result = self._method(*args, **kwargs)
        self._then()
        return result

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self._method.__self__) not in memo:  # the scheduler's values alone are copied, and put back into it later
            return self
        return copy.deepcopy(self._method, memo)
