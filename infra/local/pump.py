"""Stands in for Lambda's SQS event source: takes messages, calls the worker, deletes what succeeded."""

import asyncio
import json
import logging
import random
from typing import Any, Protocol

from events import Message, schedule_event, sqs_event
from mapping import QueueMapping, Schedule
from sqs import Queue, QueueError
from wire import Client

# The emulator looks for messages every 100 ms on behalf of a waiting call. Many waiting calls at different phases
# find one sooner, and cost nothing while they wait; a pause at random between calls keeps the phases apart.
# What a step sends is found at once all the same: the pump looks again, without waiting, when an invocation ends.
POLLERS = 20
WAIT_SECONDS = 2
PHASE_SECONDS = 0.1
INVOCATION_HEADERS = {"content-type": "application/json"}

log = logging.getLogger("pump")


class InvocationError(Exception):
    """The function failed, or died, or could not be reached: nothing of its batch may be deleted."""


class Target(Protocol):
    """Where functions run: cargo-lambda, or the runtime host of the chaos test."""

    async def invoke(self, function: str, payload: dict[str, Any], timeout: float) -> Any: ...


class LambdaEndpoint:
    """Lambda's Invoke API over HTTP, as cargo-lambda serves it."""

    def __init__(self, url: str) -> None:
        self._client = Client(url)

    async def invoke(self, function: str, payload: dict[str, Any], timeout: float) -> Any:
        path = f"/2015-03-31/functions/{function}/invocations"
        try:
            answer = await self._client.request("POST", path, json.dumps(payload).encode(), INVOCATION_HEADERS, timeout)
        except (OSError, EOFError, TimeoutError) as error:
            raise InvocationError(f"{function}: {type(error).__name__} {error}") from error
        if answer.status != 200:
            raise InvocationError(f"{function}: {answer.status} {answer.body.decode(errors='replace')[:500]}")
        return json.loads(answer.body or b"null")


class QueuePump:
    """One queue to one function, at most `concurrency` invocations at once."""

    def __init__(self, queue: Queue, mapping: QueueMapping, target: Target, concurrency: int) -> None:
        self._queue = queue
        self._mapping = mapping
        self._target = target
        self._concurrency = concurrency
        self._room = asyncio.Semaphore(concurrency)
        self._held = 0  # batches received and not yet answered
        self._vacancy = asyncio.Event()
        self._arn = ""

    async def run(self) -> None:
        attributes = await self._queue.attributes()
        self._arn = attributes["QueueArn"]
        log.info("%s -> %s, visibility %s s", self._arn, self._mapping.function, attributes["VisibilityTimeout"])
        async with asyncio.TaskGroup() as group:
            for _ in range(POLLERS):
                group.create_task(self._poll(group))

    async def _poll(self, group: asyncio.TaskGroup) -> None:
        found = False
        while True:
            if not found:
                await asyncio.sleep(random.uniform(0, PHASE_SECONDS))
            while self._held >= self._concurrency:
                self._vacancy.clear()
                await self._vacancy.wait()
            found = await self._take(WAIT_SECONDS, group)

    async def _take(self, wait_seconds: int, group: asyncio.TaskGroup) -> bool:
        """Receives no more than there is room for: a message that waits here uses up its visibility."""
        size = self._mapping.batch_size
        most = min(10, (self._concurrency - self._held) * size)
        if most <= 0:
            return False
        try:
            messages = await self._queue.receive(most, wait_seconds)
        except (OSError, EOFError, TimeoutError, QueueError) as error:
            log.warning("receive from %s: %r", self._queue.url, error)
            return False
        for start in range(0, len(messages), size):
            self._held += 1
            group.create_task(self._deliver(messages[start : start + size], group))
        return bool(messages)

    async def _deliver(self, batch: list[Message], group: asyncio.TaskGroup) -> None:
        """What fails is left alone: it comes again when the queue's visibility timeout is over."""
        to = self._mapping
        try:
            async with self._room:
                answer = await self._target.invoke(to.function, sqs_event(batch, self._arn), to.timeout_seconds)
            if done := succeeded(batch, answer):
                group.create_task(self._delete(done))
        except InvocationError as error:
            log.warning("%s", error)
        finally:
            self._held -= 1
            self._vacancy.set()
        await self._take(0, group)

    async def _delete(self, messages: list[Message]) -> None:
        try:
            await self._queue.delete(messages)
        except (OSError, EOFError, TimeoutError, QueueError) as error:
            log.warning("delete from %s: %r", self._queue.url, error)


def succeeded(batch: list[Message], answer: Any) -> list[Message]:
    """Lambda's rules for partial batch answers: an unknown or empty identifier fails the whole batch."""
    failures = answer.get("batchItemFailures") if isinstance(answer, dict) else None
    failed = {failure.get("itemIdentifier") for failure in failures or []}
    if not failed <= {message["MessageId"] for message in batch}:
        log.warning("batchItemFailures names messages that are not in the batch: %s", failed)
        return []
    return [message for message in batch if message["MessageId"] not in failed]


async def tick(schedule: Schedule, seconds: float, target: Target, region: str) -> None:
    """Calls a scheduled function, one call at a time, until cancelled."""
    while True:
        await asyncio.sleep(seconds)
        try:
            await target.invoke(schedule.function, schedule_event(region, schedule.function), max(60.0, seconds))
        except InvocationError as error:
            log.warning("%s", error)
