"""What each command of the local stack does."""

import argparse
import asyncio
import logging
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import demo
import model_file
import people
import providers
from console import Trouble, note, say
from mapping import QUEUES
from processes import die_with_parent
from pump import LambdaEndpoint
from runtime_host import Killing, RuntimeHost
from settings import PORT_VARIABLES, ROOT, Ports, fixed_ports, free_ports, require_free, require_tools
from stack import Plan, Stack, pumps, running, schedules, until_interrupted

PORT_USES = {"http": "the API", "emulator": "the AWS emulator", "model": "the model", "embeddings": "the embeddings"}


async def up(options: argparse.Namespace) -> int:
    """`make run`."""
    require_tools()
    provider = providers.choice()
    model = "qwen" if provider == "local" else "none"
    if provider in providers.HOSTED:
        providers.hosted(provider, 0)  # a missing key is told now, not after the build
    ports = fixed_ports(vars(options))
    for name, (variable, _) in PORT_VARIABLES.items():
        if name != "model" or model != "none":
            require_free(getattr(ports, name), PORT_USES[name], variable)
    brief = demo.read_brief(options.brief)
    plan = Plan(ports, ROOT / ".local", provider, model, concurrency=options.concurrency, release=options.release)

    async def work() -> int:
        async with running(plan) as stack:
            return await _together(stack, _show(stack, provider, brief))

    return await until_interrupted(work)


async def _show(stack: Stack, provider: str, brief: dict[str, str]) -> int:
    base_url = stack.env["PERSONA_BASE_URL"]
    workspace = await demo.create_workspace(stack.env)
    person = await people.create(stack.env, workspace.id)
    note(f"the API is at {base_url}/v1")
    writer = "the sandbox writes: its text is simulated" if provider == "sandbox" else f"provider: {provider}"
    note(f"creating a persona ({writer})")
    telling = await demo.create_persona(base_url, workspace, brief)
    say()
    if telling.persona:
        say(await demo.fetch_yaml(base_url, workspace, telling.persona))
    else:
        note(f"the run made no persona: {telling.error or 'its stream ended early'}")
    demo.tell_what_next(base_url, workspace, person, telling)
    note("running; Ctrl-C stops everything")
    await asyncio.Event().wait()
    return 0


async def execute(options: argparse.Namespace) -> int:
    """`exec -- CMD`: a stack of its own on free ports around one command."""
    require_tools()
    if not options.command:
        raise Trouble("exec needs a command: exec [options] -- COMMAND…")
    state = Path(tempfile.mkdtemp(prefix="persona-"))
    numbers = free_ports(4 + len(options.reserve_port))
    killing = _killing(options.kill_every, options.kill_log or state / "kills.jsonl")
    plan = Plan(
        Ports(*numbers[:4]),
        state,
        model=options.model,
        providers_file=options.providers_json,
        reserved=dict(zip(options.reserve_port, map(str, numbers[4:]), strict=True)),
        concurrency=options.concurrency,
        release=options.release,
        pump=options.pump,
        worker_processes=options.processes or (8 if killing else 0),
        killing=killing,
        visibility=options.visibility,
        with_tests=not options.release,
    )

    async def work() -> int:
        async with running(plan) as stack:
            if killing:
                stack.env["PERSONA_KILL_LOG"] = str(killing.journal)
            return await _together(stack, _run(options.command, stack.env))

    status = 1
    try:
        status = await until_interrupted(work)
    finally:
        if status == 0 and not options.keep:
            shutil.rmtree(state, ignore_errors=True)
        else:
            note(f"the stack's logs are in {state / 'logs'}")
    return status


async def _together(stack: Stack, work: asyncio.Future[int]) -> int:
    """Does the work while the stack lives; a part of the stack that ends, ends the work."""
    working = asyncio.ensure_future(work)
    breaking = asyncio.create_task(stack.broken())
    try:
        await asyncio.wait({working, breaking}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise breaking.result()
    finally:
        for task in (working, breaking):
            task.cancel()
        await asyncio.gather(working, breaking, return_exceptions=True)


async def _run(command: Sequence[str], env: Mapping[str, str]) -> int:
    try:
        process = await asyncio.create_subprocess_exec(
            *command, env=dict(env), start_new_session=True, preexec_fn=die_with_parent()
        )
    except OSError as error:
        raise Trouble(f"{command[0]} cannot be started: {error.strerror}.") from error
    try:
        status = await process.wait()
        return status if status >= 0 else 128 - status
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), 10)
            except TimeoutError:
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()


async def pump(options: argparse.Namespace) -> int:
    """The pump and the schedules alone, for a stack that runs already."""
    urls = (each.variable for each in QUEUES)
    env = _required("AWS_ENDPOINT_URL", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", *urls)
    target = LambdaEndpoint(_required("PERSONA_LAMBDA_URL")["PERSONA_LAMBDA_URL"])
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")

    async def work() -> int:
        sources = pumps(env, lambda _: (target, options.concurrency)) + schedules(env, target)
        await asyncio.gather(*(each for _, each in sources))
        return 0

    return await until_interrupted(work)


async def runtime_host(options: argparse.Namespace) -> int:
    """Worker processes that are restarted, and killed at random, fed from one queue."""
    env = _required("AWS_ENDPOINT_URL", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    queues = [each for each in QUEUES if each.function == options.bin.name]
    if not queues:
        raise Trouble(f"--bin is {options.bin}; a queue feeds {', '.join(each.function for each in QUEUES)} alone.")
    if options.queue:
        env[queues[0].variable] = options.queue
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    killing = _killing(options.kill_every, options.kill_log or options.logs / "kills.jsonl")
    host = RuntimeHost(options.bin.resolve(), options.processes, env, options.logs, killing)

    async def work() -> int:
        fed = pumps(env, lambda _: (host, options.processes), queues)
        await asyncio.gather(host.run(), *(each for _, each in fed))
        return 0

    return await until_interrupted(work)


async def fetch_model(options: argparse.Namespace) -> int:
    """Only the model file, so that a later `make run` needs no network."""
    say(str(model_file.fetch(options.model).path))
    return 0


def _killing(every: str | None, journal: Path) -> Killing | None:
    """`0.3-1.5s`: a pause of at least, and at most, so many seconds between two kills."""
    if not every:
        return None
    low, _, high = every.removesuffix("s").partition("-")
    try:
        journal.parent.mkdir(parents=True, exist_ok=True)
        return Killing(float(low), float(high or low), journal)
    except ValueError as error:
        raise Trouble(f"--kill-every is {every!r}; write it as 0.3-1.5s.") from error


def _required(*names: str) -> dict[str, str]:
    if missing := [name for name in names if not os.environ.get(name)]:
        raise Trouble(f"{', '.join(missing)} must be set; `{Path(sys.argv[0]).name} exec -- env` shows them all.")
    return dict(os.environ)
