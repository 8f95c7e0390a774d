"""Data-parallel training in single-threaded processes.

On a shared machine two OpenMP threads spend their time waiting for each other at every layer; two
processes that meet once a step do not.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn


def average(parameters: list[nn.Parameter], extra: float) -> float:
    """Average the gradients over all processes, and with them one number, which is returned."""
    if not dist.is_initialized():
        return extra
    grads = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([grad.reshape(-1) for grad in grads] + [torch.tensor([extra])])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    start = 0
    for grad in grads:
        grad.copy_(flat[start : start + grad.numel()].view_as(grad))
        start += grad.numel()
    return flat[-1].item()


def _enter(
    rank: int, body: Callable[[argparse.Namespace, int], None], args: argparse.Namespace, meeting: str
) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=args.processes)
    body(args, rank)
    dist.barrier()
    dist.destroy_process_group()


def launch(body: Callable[[argparse.Namespace, int], None], args: argparse.Namespace) -> None:
    """Call `body(args, rank)` in `args.processes` processes; rank 0 logs and saves."""
    with tempfile.TemporaryDirectory() as folder:
        # Forked: importing everything anew takes minutes on a busy machine. Single threads make it safe.
        meeting = str(Path(folder) / "meeting")
        mp.start_processes(_enter, (body, args, meeting), nprocs=args.processes, start_method="fork")
