"""Reuse of a diffusers denoiser's modules: as if each were wrapped so that where it is to be reused it gives what it last
gave, and otherwise runs and is remembered. Which module at which step is the library's decision (`_core.Modules.decide`);
here it is carried out.
"""

from __future__ import annotations

import copy
import functools
import inspect
from typing import Any

import torch

from reprise import _core
from reprise.adapter.families import named_modules, streams_of
from reprise.adapter.steps import Counter, steps_of_evaluations
from reprise.adapter.structure import combined, copied, parts_of, with_parts

#: Calls of the denoiser between two steps of the scheduler. More means that nobody steps the scheduler.
MOST_BRANCHES = 64


class Reuse:
    """What `cachify.prepare` leaves on a denoiser."""

    def __init__(
        self, pipe: Any, denoiser: torch.nn.Module, modules: _core.Modules, config: list[Any], count: str, advises: bool
    ) -> None:
        self.enabled = True
        self._advises = advises
        self._pipe = pipe
        self._denoiser = denoiser
        self._modules = modules
        self._config = config
        self._count = count
        self._counter = Counter(self._begin, self._next_evaluation)
        self._forwards: dict[str, ReusedForward] = {}
        self._handles: list[Any] = []
        self._decided: tuple[tuple[int, ...], _core.Decisions] | None = None
        # of the generation under way
        self._steps: list[int] = []
        self._shapes: list[torch.Size | None] = []
        self.evaluation = 0
        self.branch = -1
        self.call = 0  # of the denoiser, counted over all generations
        self.inside = False  # whether the denoiser is running, with reuse

    def check(self, num_inference_steps: int | None) -> None:
        """ValueError for a configuration that does not fit the denoiser or such a run of the scheduler."""
        if num_inference_steps is not None and not 1 <= num_inference_steps <= 100_000:
            raise ValueError(f"{num_inference_steps} steps; expected at least 1, at most 100000")
        if num_inference_steps is None:
            self._modules.decide(self._config, list(range(50)), self._count, self._advises)
            return
        scheduler = copy.deepcopy(self._pipe.scheduler)
        parameters = inspect.signature(scheduler.set_timesteps).parameters
        extra = {"mu": 1.0} if "mu" in parameters and scheduler.config.get("use_dynamic_shifting") else {}
        scheduler.set_timesteps(num_inference_steps, **extra)
        self._modules.decide(self._config, steps_of_evaluations(scheduler), self._count, self._advises)

    def install(self) -> None:
        self._denoiser.__dict__["_reprise"] = self
        self._counter.attach(self._pipe.scheduler)
        self._handles = [
            self._denoiser.register_forward_pre_hook(_Hook(self._enter), with_kwargs=True, prepend=True),
            self._denoiser.register_forward_hook(_Hook(self._leave), always_call=True),
        ]

    def remove(self) -> None:
        self._counter.detach()
        for handle in self._handles:
            handle.remove()
        for forward in self._forwards.values():
            forward.remove()
        self._forwards.clear()
        self._denoiser.__dict__.pop("_reprise", None)

    def reset(self) -> None:
        """Forgets the generation under way and all that it kept."""
        self._steps = []
        self._forget()

    def _forget(self) -> None:
        self.evaluation, self.branch = 0, -1
        self._shapes = []
        for forward in self._forwards.values():
            forward.memory.clear()

    def _begin(self) -> None:
        """Timesteps are set: a generation begins, of which the schedule is made."""
        self._forget()
        self._steps = steps_of_evaluations(self._counter.scheduler)
        key = tuple(self._steps)
        if self._decided is None or self._decided[0] != key:
            self._decided = (key, self._modules.decide(self._config, self._steps, self._count, self._advises))
            self._wrap(self._decided[1])

    def _wrap(self, decisions: _core.Decisions) -> None:
        """Wraps the modules of these rules, and no others."""
        rules = {rule.module: rule for rule in decisions.rules}
        for name in [name for name in self._forwards if name not in rules]:
            self._forwards.pop(name).remove()
        modules = named_modules(self._denoiser)
        for name, rule in rules.items():
            if name not in self._forwards:
                streams = streams_of(name, modules[name], self._denoiser)
                self._forwards[name] = ReusedForward(self, modules[name], streams)
            self._forwards[name].rule = rule
            self._forwards[name].install()

    def _enter(self, _module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """The denoiser is called: another branch of this evaluation."""
        if self._pipe.scheduler is not self._counter.scheduler:  # another one was put in its place
            self._counter.attach(self._pipe.scheduler)
            self._steps = []
        if not self._steps and getattr(self._counter.scheduler, "num_inference_steps", None) is not None:
            self._begin()
        if self.evaluation >= len(self._steps):
            return  # not in a generation: all runs in full
        self.call += 1
        self.branch += 1
        if self.branch >= MOST_BRANCHES:
            raise RuntimeError(
                f"the denoiser was called {self.branch + 1} times without a step of the pipeline's scheduler, by which "
                "cachify counts; call cachify.disable to run it so"
            )
        sample = next((x for x in (*args, *kwargs.values()) if isinstance(x, torch.Tensor)), None)
        shape = None if sample is None else sample.shape
        if self.branch == len(self._shapes):
            self._shapes.append(shape)
        elif self._shapes[self.branch] != shape:  # of another batch or size: nothing that was kept is for it
            self._shapes[self.branch] = shape
            for forward in self._forwards.values():
                forward.memory.pop(self.branch, None)
        self.inside = self.enabled
        if self.inside:
            for forward in self._forwards.values():
                forward.install()

    def _leave(self, *_: Any) -> None:
        self.inside = False

    def _next_evaluation(self) -> None:
        self.evaluation += 1
        self.branch = -1
        if self.evaluation == len(self._steps):  # the last: nothing is read any more
            for forward in self._forwards.values():
                forward.memory.clear()

    @property
    def decision(self) -> int:
        return self._steps[self.evaluation] if self._count == "steps" else self.evaluation

    def __deepcopy__(self, _memo: dict[int, Any]) -> None:
        """A copy of the denoiser is not prepared."""
        return None


def reuse_of(denoiser: torch.nn.Module) -> Reuse | None:
    return denoiser.__dict__.get("_reprise")


class _Hook:
    """A hook on the denoiser. A copy of the denoiser has one that does nothing."""

    def __init__(self, function: Any = None) -> None:
        self._function = function

    @torch.compiler.disable(recursive=False)  # type: ignore[no-untyped-call,untyped-decorator]
    def __call__(self, *args: Any) -> None:
        if self._function is not None:
            self._function(*args)

    def __deepcopy__(self, _memo: dict[int, Any]) -> _Hook:
        return _Hook()


class ReusedForward:
    """Stands in for a module's `forward`. Tensors are copied on their way in and out, so that nothing that is changed in
    place changes what is kept. A copy of the module has the forward that was there before."""

    rule: _core.Rule
    _original: Any  # what `install` found in its place
    _had_its_own: bool  # whether that was the module's, not its class's
    _offloading: Any
    _type: torch.dtype  # of what is kept, before `kept_in`

    def __init__(self, reuse: Reuse, module: torch.nn.Module, streams: tuple[str, ...]) -> None:
        self._reuse = reuse
        self._module = module
        self._streams = streams
        self._arguments = list(inspect.signature(type(module).forward).parameters)[1:]
        self._call = 0
        #: by branch: (evaluation, outputs), newest first
        self.memory: dict[int, list[tuple[int, Any]]] = {}
        functools.update_wrapper(self, module.forward, updated=())

    def install(self) -> None:
        """Puts itself in the module, where it is not in it already, behind whatever wrapped it since (accelerate)."""
        if self._is_in(self._module.__dict__.get("forward")) or self._is_in(self._module.__dict__.get("_old_forward")):
            return
        self._original = self._module.forward
        self._had_its_own = "forward" in self._module.__dict__
        self._offloading = shared_offloading(self._module)
        self._module.forward = self

    def remove(self) -> None:
        """Takes itself out, and leaves what was put around it since."""
        self.memory.clear()
        own = self._module.__dict__
        if own.get("_old_forward") is self:
            own["_old_forward"] = self._original
        elif own.get("forward") is self:
            if self._had_its_own:
                own["forward"] = self._original
            else:
                del own["forward"]

    def _is_in(self, forward: Any) -> bool:
        while forward is not None:
            if forward is self:
                return True
            forward = getattr(forward, "__wrapped__", None)
        return False

    @torch.compiler.disable(recursive=False)  # type: ignore[no-untyped-call,untyped-decorator]
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        reuse = self._reuse
        if not reuse.inside:
            return self._original(*args, **kwargs)
        if self._call == reuse.call:
            raise ValueError(f"module '{self.rule.module}' runs twice in one pass of the denoiser and cannot be reused")
        self._call = reuse.call
        kept = self.memory.setdefault(reuse.branch, [])
        # A branch that begins in the middle of a generation, as skip-layer guidance's does, has too little to reuse yet.
        if self.rule.reuse[reuse.decision] and len(kept) >= self.rule.least_terms(reuse.decision):
            if self._offloading is not None:
                self._offloading.pre_forward(self._module)
                self._offloading.post_forward(self._module, None)
            return self._reused(kept, args, kwargs)
        outputs = self._original(*args, **kwargs)
        stored = self._differences(outputs, args, kwargs) if self.rule.is_delta else copied(outputs)
        kept.insert(0, (reuse.evaluation, self._narrowed(stored)))
        del kept[self.rule.most_terms :]
        return outputs

    def _reused(self, kept: list[tuple[int, Any]], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self.rule.is_combination:
            when = [evaluation for evaluation, _ in kept]
            weights = self.rule.weights(when, self._reuse.evaluation, self._reuse.decision)
            values = [value for _, value in kept[: len(weights)]]
            stored = combined(lambda *tensors: sum(w * x for w, x in zip(weights, tensors, strict=True)), *values)
        else:
            stored = copied(kept[0][1])
        if self.rule.kept_in:
            stored = combined(lambda x: x.to(self._type), stored)
        if not self.rule.is_delta:
            return stored
        parts = parts_of(stored)
        sums = [
            part if stream is None else stream + part
            for stream, part in zip(self._inputs(stored, args, kwargs), parts or [stored], strict=True)
        ]
        return with_parts(stored, sums) if parts is not None else sums[0]

    def _narrowed(self, stored: Any) -> Any:
        """In the type that the rule keeps it in, where that is smaller."""
        if not self.rule.kept_in:
            return stored
        kept_in = {"f16": torch.float16, "bf16": torch.bfloat16}[self.rule.kept_in]
        self._type = next(x.dtype for x in parts_of(stored) or [stored] if isinstance(x, torch.Tensor))
        return combined(lambda x: x.to(kept_in), stored) if self._type.itemsize > kept_in.itemsize else stored

    def _differences(self, outputs: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The outputs less the inputs that they transform; those without an input of their shape as they are."""
        parts = parts_of(outputs)
        inputs = self._inputs(outputs, args, kwargs)
        if all(stream is None for stream in inputs):
            raise ValueError(
                f"module '{self.rule.module}' cannot be stored as a delta: none of its outputs has the shape of its input"
            )
        stored = [
            copied(part) if stream is None else (part - stream).detach()
            for stream, part in zip(inputs, parts or [outputs], strict=True)
        ]
        return with_parts(outputs, stored) if parts is not None else stored[0]

    def _inputs(self, outputs: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[torch.Tensor | None]:
        """For each part of the outputs, the input that it transforms; None where none has its shape."""
        streams = self._streams or self._arguments[:1]
        inputs: list[torch.Tensor | None] = []
        for i, part in enumerate(parts_of(outputs) or [outputs]):
            stream = self._argument(streams[i], args, kwargs) if i < len(streams) else None
            fits = isinstance(stream, torch.Tensor) and isinstance(part, torch.Tensor) and stream.shape == part.shape
            inputs.append(stream if fits else None)
        return inputs

    def _argument(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        place = self._arguments.index(name) if name in self._arguments else len(args)
        return args[place] if place < len(args) else kwargs.get(name)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return copy.deepcopy(self._original, memo)


def shared_offloading(module: torch.nn.Module) -> Any:
    """The hook of diffusers' group offloading on a module whose weights come and go together with those of others, which
    it has to be told of although the module does not run; or None."""
    registry = getattr(module, "_diffusers_hook", None)
    hook = None if registry is None else registry.get_hook("group_offloading")
    return hook if hook is not None and len(hook.group.modules) > 1 else None
