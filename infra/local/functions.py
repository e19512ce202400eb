"""Builds the functions and runs them under cargo-lambda, which routes HTTP requests and invocations to them."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from console import Trouble, note
from processes import Child, Family, healthy
from settings import HOST, ROOT, tool
from wire import Client

BUILT_CARGO = Path(__file__).with_name("built-cargo")


@dataclass(frozen=True)
class Build:
    """Where cargo put the functions, and what it knows of the workspace."""

    binaries: Path
    metadata: bytes


async def build(release: bool, with_tests: bool) -> Build:
    """`with_tests`: together with all else, whose dependencies would otherwise make cargo build the functions twice."""
    metadata = await _output("cargo", "metadata", "--no-deps", "--format-version", "1")
    parsed: dict[str, Any] = json.loads(metadata)
    if not any(package["name"] == "functions" for package in parsed["packages"]):
        raise Trouble("The workspace has no package named functions, so there is nothing to run.")
    packages = ["--workspace"] if with_tests else ["-p", "functions"]
    command = ["cargo", "build", "-q", *packages, "--bins", *(["--release"] if release else [])]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT)
    try:
        if await process.wait():
            raise Trouble("The functions did not build; the compiler's messages are above.")
    finally:
        if process.returncode is None:
            process.terminate()
    return Build(Path(parsed["target_directory"]) / ("release" if release else "debug"), metadata)


async def _output(*command: str) -> bytes:
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, errors = await process.communicate()
    if process.returncode:
        raise Trouble(f"`{' '.join(command)}` failed: {errors.decode(errors='replace').strip()[-500:]}")
    return output


async def start(
    family: Family, built: Build, env: Mapping[str, str], state: Path, port: int, concurrency: int
) -> Child:
    """Runs in an empty folder: cargo-lambda would otherwise watch every file of the checkout, per process."""
    folder = state / "watch"
    folder.mkdir(parents=True, exist_ok=True)
    metadata = state / "cargo-metadata.json"
    metadata.write_bytes(built.metadata)
    command = [tool("cargo-lambda"), "lambda", "watch", "--manifest-path", ROOT / "Cargo.toml", "--ignore-changes"]
    command += ["--disable-cors", "--concurrency", concurrency, "-P", port, "-A", HOST]
    surroundings = {
        **env,
        "CARGO": str(BUILT_CARGO),
        "PERSONA_BINARIES": str(built.binaries),
        "PERSONA_CARGO_METADATA": str(metadata),
    }
    child = await family.start("cargo-lambda", command, surroundings, folder)
    await healthy(child, lambda: accepts(port), 30)
    return child


async def accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    writer.close()
    return True


async def answers(port: int, path: str) -> bool:
    """Whether a health route says 200."""
    client = Client(f"http://{HOST}:{port}")
    try:
        return (await client.request("GET", path, timeout=2)).status == 200
    except (OSError, EOFError, TimeoutError):
        return False
    finally:
        client.close()


async def invoke(function: str, payload: Any, env: Mapping[str, str], port: int) -> Any:
    """Calls a function that has no route, as an administrator would: `cargo lambda invoke`."""
    command = [str(tool("cargo-lambda")), "lambda", "invoke", function, "-A", HOST, "-P", str(port)]
    command += ["--data-ascii", json.dumps(payload)]
    process = await asyncio.create_subprocess_exec(
        *command, env=dict(env), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, errors = await process.communicate()
    if process.returncode:
        text = (errors or output).decode(errors="replace").strip()
        note(text)
        raise Trouble(f"The function {function} failed; what it said is above.")
    return json.loads(output)
