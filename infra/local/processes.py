"""The processes the stack starts: each in its own session with its own log, stopped by pid and with what it started."""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from console import Trouble

PR_SET_PDEATHSIG = 1
GRACE_SECONDS = 4.0


@dataclass
class Child:
    name: str
    process: asyncio.subprocess.Process
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid


@dataclass
class Family:
    """All children of this stack, in the order they were started."""

    logs: Path
    children: list[Child] = field(default_factory=list)

    async def start(self, name: str, command: Sequence[str | Path], env: Mapping[str, str], cwd: Path) -> Child:
        self.logs.mkdir(parents=True, exist_ok=True)
        log = self.logs / f"{name}.log"
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *map(str, command),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=dict(env),
                cwd=cwd,
                start_new_session=True,
                preexec_fn=die_with_parent(),
            )
        child = Child(name, process, log)
        self.children.append(child)
        return child

    async def first_death(self) -> Trouble:
        """Waits until any child ends by itself; what to tell about it."""
        waits = {asyncio.create_task(child.process.wait()): child for child in self.children}
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return died(waits[done.pop()])

    async def stop(self) -> None:
        """Stops the children, last started first, and whatever they had started."""
        for child in reversed(self.children):
            await stop(child)
        self.children.clear()


def died(child: Child) -> Trouble:
    lines = child.log.read_text(errors="replace").strip().splitlines()
    last = f" Its last line: {lines[-1].strip()[:300]}" if lines else ""
    return Trouble(
        f"The {child.name} process ended with status {child.process.returncode}; its log is {child.log}.{last}"
    )


async def healthy(child: Child, ready: Callable[[], Awaitable[bool]], seconds: float) -> None:
    """Waits until `ready()` (an async predicate) holds, or says why it never will."""
    deadline = time.monotonic() + seconds
    while not await ready():
        if child.process.returncode is not None:
            raise died(child)
        if time.monotonic() > deadline:
            raise Trouble(f"The {child.name} process did not answer within {seconds:.0f} s; its log is {child.log}.")
        await asyncio.sleep(0.05)


async def stop(child: Child) -> None:
    family = [child.pid, *descendants(child.pid)]
    if child.process.returncode is None:
        _signal(child.pid, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(child.process.wait(), GRACE_SECONDS)
    for pid in family:
        if pid != child.pid or child.process.returncode is None:
            _signal(pid, signal.SIGKILL)
    await child.process.wait()


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def descendants(pid: int) -> list[int]:
    """The processes that `pid` started, and theirs; empty where there is no /proc."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found: list[int] = []
    waiting = [pid]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def die_with_parent() -> Callable[[], None] | None:
    """On Linux, a child is told to end when this process dies, even by SIGKILL."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    return lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
