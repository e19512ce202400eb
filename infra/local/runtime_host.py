"""A small Lambda Runtime API that keeps N worker processes running, and on request kills them at random.

cargo-lambda lets an invocation hang whose process died; the cloud fails it and starts another process, as here.
"""

import asyncio
import contextlib
import json
import logging
import random
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from processes import die_with_parent
from pump import InvocationError
from settings import HOST
from wire import LINE_LIMIT, read_chunks

log = logging.getLogger("runtime-host")
API = "/2018-06-01/runtime"
RESTART_PAUSE_SECONDS = 0.5


@dataclass
class Invocation:
    payload: bytes
    deadline_ms: int
    answer: asyncio.Future[bytes]
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def fail(self, why: str) -> None:
        if not self.answer.done():
            self.answer.set_exception(InvocationError(why))


@dataclass
class Worker:
    """One life of one process. It is named in the path of the Runtime API, so a request says who sent it."""

    name: str
    dead: asyncio.Event = field(default_factory=asyncio.Event)
    process: asyncio.subprocess.Process | None = None
    current: Invocation | None = None


@dataclass(frozen=True)
class Killing:
    """Kill one process, by SIGKILL, every `low` to `high` seconds, and write each kill down as a JSON line."""

    low: float
    high: float
    journal: Path


class RuntimeHost:
    def __init__(
        self, binary: Path, processes: int, env: Mapping[str, str], logs: Path, killing: Killing | None
    ) -> None:
        self.binary = binary
        self.processes = processes
        self._env = dict(env)
        self._logs = logs
        self._killing = killing
        self._queue: asyncio.Queue[Invocation] = asyncio.Queue()
        self._workers: dict[str, Worker] = {}
        self._port = 0

    async def invoke(self, function: str, payload: dict[str, Any], timeout: float) -> Any:
        deadline = int((time.time() + timeout) * 1000)
        invocation = Invocation(json.dumps(payload).encode(), deadline, asyncio.get_running_loop().create_future())
        self._queue.put_nowait(invocation)
        try:
            return json.loads(await asyncio.wait_for(invocation.answer, timeout) or b"null")
        except TimeoutError as error:
            self._kill_holder(invocation)
            raise InvocationError(f"{function}: no answer within {timeout:.0f} s") from error

    async def run(self) -> None:
        self._logs.mkdir(parents=True, exist_ok=True)
        server = await asyncio.start_server(self._serve, HOST, 0, limit=LINE_LIMIT)
        self._port = server.sockets[0].getsockname()[1]
        async with server, asyncio.TaskGroup() as group:
            for slot in range(self.processes):
                group.create_task(self._keep_running(slot))
            if self._killing:
                group.create_task(self._kill_at_random(self._killing))

    async def _keep_running(self, slot: int) -> None:
        """Starts the process of a slot, and another each time it dies."""
        life = 0
        while True:
            life += 1
            started = time.monotonic()
            await self._live(Worker(f"{slot}-{life}"), self._logs / f"{self.binary.name}-{slot}.log")
            if time.monotonic() - started < RESTART_PAUSE_SECONDS and not self._killing:
                await asyncio.sleep(RESTART_PAUSE_SECONDS)  # it dies at once, every time: do not spin

    async def _live(self, worker: Worker, log_file: Path) -> None:
        with log_file.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                self.binary,
                env={**self._env, **self._lambda_environment(worker)},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=die_with_parent(),
            )
        worker.process = process
        self._workers[worker.name] = worker
        try:
            await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
            del self._workers[worker.name]
            worker.dead.set()
            if worker.current:
                worker.current.fail(f"{self.binary.name} (pid {process.pid}) ended with status {process.returncode}")

    def _lambda_environment(self, worker: Worker) -> dict[str, str]:
        return {
            "AWS_LAMBDA_RUNTIME_API": f"http://{HOST}:{self._port}/{worker.name}",
            "AWS_LAMBDA_FUNCTION_NAME": self.binary.name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{self.binary.name}",
            "AWS_LAMBDA_LOG_STREAM_NAME": worker.name,
        }

    async def _kill_at_random(self, killing: Killing) -> None:
        """Any process, at work or not: were it always one at work, the last run would lose every worker it gets."""
        with killing.journal.open("a") as journal:
            while True:
                await asyncio.sleep(random.uniform(killing.low, killing.high))
                alive = [worker for worker in self._workers.values() if worker.process]
                if not alive:
                    continue
                worker = random.choice(alive)
                entry = {
                    "time": time.time(),
                    "pid": worker.process.pid if worker.process else 0,
                    "worker": worker.name,
                    "busy": worker.current is not None,
                    "request_id": worker.current.id if worker.current else None,
                }
                self._kill(worker)
                journal.write(json.dumps(entry) + "\n")
                journal.flush()

    def _kill_holder(self, invocation: Invocation) -> None:
        for worker in self._workers.values():
            if worker.current is invocation:
                self._kill(worker)

    def _kill(self, worker: Worker) -> None:
        if worker.process and worker.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                worker.process.kill()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                method, path, body = await _read_request(reader)
                status, headers, answer = await self._route(method, path, body)
                writer.write(_response(status, headers, answer))
                await writer.drain()
        writer.close()

    async def _route(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        name, _, rest = path.lstrip("/").partition("/")
        worker = self._workers.get(name)
        route = ("/" + rest).removeprefix(API).strip("/").split("/")
        match (method, route):
            case _ if worker is None:
                return 410, {}, b"{}"
            case "GET", ["invocation", "next"]:
                return await self._next(worker)
            case "POST", ["invocation", id, ("response" | "error") as outcome]:
                return self._settle(worker, id, outcome, body)
            case "POST", ["init", "error"]:
                log.error("%s could not start: %s", self.binary.name, body.decode(errors="replace")[:500])
                return 202, {}, b'{"status":"OK"}'
        return 404, {}, b"{}"

    async def _next(self, worker: Worker) -> tuple[int, dict[str, str], bytes]:
        """Waits for work, or for the death of the one who asks."""
        worker.current = None
        wanted = asyncio.create_task(self._queue.get())
        death = asyncio.create_task(worker.dead.wait())
        await asyncio.wait({wanted, death}, return_when=asyncio.FIRST_COMPLETED)
        death.cancel()
        if not wanted.done():
            wanted.cancel()
            raise ConnectionResetError
        invocation = wanted.result()
        if worker.dead.is_set():
            self._queue.put_nowait(invocation)
            raise ConnectionResetError
        worker.current = invocation
        headers = {
            "lambda-runtime-aws-request-id": invocation.id,
            "lambda-runtime-deadline-ms": str(invocation.deadline_ms),
            "lambda-runtime-invoked-function-arn": f"arn:aws:lambda:local:000000000000:function:{self.binary.name}",
            "lambda-runtime-trace-id": f"Root=1-{int(time.time()):08x}-{uuid.uuid4().hex[:24]};Sampled=0",
        }
        return 200, headers, invocation.payload

    def _settle(self, worker: Worker, id: str, outcome: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        invocation = worker.current
        if invocation is None or invocation.id != id:
            return 400, {}, b'{"errorType":"InvalidRequestID"}'
        worker.current = None
        if outcome == "error":
            invocation.fail(f"{self.binary.name}: {body.decode(errors='replace')[:500]}")
        elif not invocation.answer.done():
            invocation.answer.set_result(body)
        return 202, {}, b'{"status":"OK"}'


async def _read_request(reader: asyncio.StreamReader) -> tuple[str, str, bytes]:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    method, path, _ = first.split(" ", 2)
    return method, path, b"".join([chunk async for chunk in read_chunks(reader, headers)])


def _response(status: int, headers: dict[str, str], body: bytes) -> bytes:
    lines = [f"HTTP/1.1 {status} {'OK' if status < 300 else 'Error'}", f"content-length: {len(body)}"]
    lines += ["content-type: application/json", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
