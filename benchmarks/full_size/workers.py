"""Processes that step one engine each on request (protocol: stepper.cpp), watched while they live."""

import json
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")


def status_kilobytes(pid: int) -> dict[str, int]:
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return {}
    lines = (line.split() for line in text.splitlines())
    return {words[0].rstrip(":"): int(words[1]) for words in lines if len(words) == 3 and words[2] == "kB"}


class Watch:
    """Samples a process's memory: anonymous and shared pages, by phase, and the kernel's high-water mark."""

    def __init__(self, pid: int) -> None:
        self._own, self._phase, self._resident = {}, "load", 0
        self._pid, self._stop = pid, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def phase(self, name: str) -> None:
        self._phase = name

    def _run(self) -> None:
        while not self._stop.wait(0.02):
            phase, now = self._phase, status_kilobytes(self._pid)
            own = (now.get("RssAnon", 0) + now.get("RssShmem", 0)) * 1024
            self._own[phase] = max(self._own.get(phase, 0), own)
            self._resident = max(self._resident, now.get("VmHWM", 0) * 1024)

    def end(self) -> dict:
        self._stop.set()
        self._thread.join()
        return {"peak_own_bytes": max(self._own.values(), default=0), "high_water_bytes": self._resident,
                "peak_own_bytes_by_phase": self._own}  # fmt: skip


class Others:
    """How much of the machine processes other than ours used, from one call of `lap` to the next."""

    def __init__(self) -> None:
        self._last = self._now()

    @staticmethod
    def _now() -> tuple[float, float, float]:
        user, nice, system, idle, wait, *_ = map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:])
        own = os.times()
        return (user + nice + system) / TICK, (idle + wait) / TICK, sum(own[:4])

    def lap(self) -> float:
        """Share of all cores' time. Processes of ours count once they have ended."""
        (busy, idle, own), now = self._last, self._now()
        self._last = now
        return max(0.0, now[0] - busy - (now[2] - own)) / max(1e-9, now[0] - busy + now[1] - idle)


class Worker:
    def __init__(self, name: str, command: list, environment: dict[str, str], log: Path) -> None:
        self.name, self._begin = name, time.perf_counter()
        self.phases: list[tuple[str, float]] = []  # and the process's age when each began
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                text=True, env=os.environ | environment)  # fmt: skip
        self._watch = Watch(self._process.pid)
        self.ready = self._read()

    def _read(self) -> dict:
        while line := self._process.stdout.readline():
            if not line.startswith("{"):
                print(f"{self.name}: {line}", end="", file=sys.stderr)  # a warning
                continue
            answer = json.loads(line)
            if "phase" not in answer:
                return answer
            self._watch.phase(answer["phase"])
            self.phases.append((answer["phase"], self.age()))
        raise RuntimeError(f"{self.name} ended with status {self._process.wait()}; see its log")

    def turn(self, what: str = "") -> dict:
        """One step: which it was ("step"), its "seconds", and its "cpu_seconds" over all threads."""
        self._process.stdin.write(what + "\n")
        self._process.stdin.flush()
        return self._read()

    def seconds_of(self, phase: str) -> float:
        """How long phases of that name took, each to the next."""
        ends = [begin for _, begin in self.phases[1:]] + [self.age()]
        return sum(end - begin for (name, begin), end in zip(self.phases, ends, strict=True) if name == phase)

    def age(self) -> float:
        """Seconds since its process was started."""
        return time.perf_counter() - self._begin

    def close(self, patience: float = 30) -> dict:
        memory = self._watch.end()
        self._process.stdin.close()
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
        return memory


def read_json(command: list, environment: dict[str, str], log: Path) -> dict:
    """What a command prints as JSON."""
    with log.open("ab") as errors:
        text = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=errors, text=True,
                              check=True, env=os.environ | environment).stdout  # fmt: skip
    return json.loads(text)


def spread(values: list[float]) -> dict:
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "count": len(values)}


def now() -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
