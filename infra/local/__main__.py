"""Command line of the local stack: `.venv/bin/python infra/local COMMAND`. The Makefile calls it."""

import argparse
import asyncio
import sys
from pathlib import Path

import commands
from console import Reported, Trouble, note, paint
from demo import DEFAULT_BRIEF
from stack import Interrupted


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="infra/local", description=__doc__)
    sub = top.add_subparsers(required=True, metavar="COMMAND")
    _add_up(sub.add_parser("up", help="start everything, create one persona, stay up until Ctrl-C"))
    _add_exec(sub.add_parser("exec", help="run one command with a stack of its own, on free ports"))

    pump = sub.add_parser("pump", help="only the SQS pump and the schedules, for a stack that runs already")
    pump.add_argument("--concurrency", type=int, default=8)
    pump.set_defaults(run=commands.pump)

    _add_runtime_host(sub.add_parser("runtime-host", help="worker processes that survive being killed"))

    model = sub.add_parser("model", help="fetch the model file and print its path")
    model.add_argument("--model", choices=("qwen", "smollm"), default="qwen")
    model.set_defaults(run=commands.fetch_model)
    return top


def _add_up(up: argparse.ArgumentParser) -> None:
    up.add_argument("--brief", type=Path, default=DEFAULT_BRIEF, help="the brief to make a persona from")
    up.add_argument("--release", action="store_true", help="build the functions optimised")
    up.add_argument("--concurrency", type=int, default=8, help="processes per function, at most")
    for name in ("http", "emulator", "model", "embeddings"):
        up.add_argument(f"--{name}-port", dest=name, type=int)
    up.set_defaults(run=commands.up)


def _add_exec(execute: argparse.ArgumentParser) -> None:
    execute.add_argument("--model", choices=("qwen", "smollm", "none"), default="none", help="local model to serve")
    execute.add_argument("--providers-json", type=Path, help="the providers secret; ${NAME} takes environment values")
    execute.add_argument(
        "--reserve-port", action="append", default=[], metavar="NAME", help="put a free port into the variable NAME"
    )
    execute.add_argument("--concurrency", type=int, default=8, help="processes per function, at most")
    execute.add_argument("--release", action="store_true")
    execute.add_argument("--no-pump", dest="pump", action="store_false", help="leave the queues to the command")
    execute.add_argument("--processes", type=int, default=0, help="run steps in the runtime host, with so many workers")
    execute.add_argument("--kill-every", metavar="0.3-1.5s", help="and kill one of them at random, this often")
    execute.add_argument("--kill-log", type=Path, help="where kills are written; PERSONA_KILL_LOG names it")
    execute.add_argument("--visibility", type=int, help="seconds until a message that failed comes again")
    execute.add_argument("--keep", action="store_true", help="keep the logs of a success too")
    execute.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND")
    execute.set_defaults(run=commands.execute)


def _add_runtime_host(host: argparse.ArgumentParser) -> None:
    host.add_argument("--bin", type=Path, required=True, help="the worker's binary")
    host.add_argument("--processes", type=int, default=8)
    host.add_argument("--queue", help="URL of the queue; default STEPS_QUEUE_URL")
    host.add_argument("--kill-every", metavar="0.3-1.5s")
    host.add_argument("--kill-log", type=Path)
    host.add_argument("--logs", type=Path, default=Path(".local/logs"))
    host.set_defaults(run=commands.runtime_host)


def main() -> int:
    options = parser().parse_args()
    if getattr(options, "command", None) and options.command[0] == "--":
        options.command = options.command[1:]
    try:
        return asyncio.run(options.run(options))
    except Interrupted as interrupted:
        note("stopped")
        return 0 if options.run is commands.up else 128 + interrupted.number
    except Reported:
        return 1
    except Trouble as trouble:
        note(f"{paint('error:', 'red')} {trouble}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
