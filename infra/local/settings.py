"""Where the stack listens and keeps its files: defaults, then the environment, then flags."""

import os
import shutil
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from console import Trouble

ROOT = Path(__file__).resolve().parents[2]
HOST = "127.0.0.1"


@dataclass(frozen=True)
class Ports:
    http: int
    emulator: int
    model: int
    embeddings: int


# The variable that moves each port of `make run`, and its default.
PORT_VARIABLES = {
    "http": ("PERSONA_HTTP_PORT", 9000),
    "emulator": ("PERSONA_EMULATOR_PORT", 4566),
    "model": ("PERSONA_MODEL_PORT", 8081),
    "embeddings": ("PERSONA_EMBEDDINGS_PORT", 8082),
}


def fixed_ports(flags: dict[str, int | None]) -> Ports:
    """The ports of `make run`: a flag wins over the environment."""
    chosen = {name: flags.get(name) or _from_environment(*PORT_VARIABLES[name]) for name in PORT_VARIABLES}
    return Ports(**chosen)


def _from_environment(variable: str, default: int) -> int:
    value = os.environ.get(variable, str(default))
    if not value.isdigit() or not 0 < int(value) < 65536:
        raise Trouble(f"{variable} is {value!r}, which is not a port number.")
    return int(value)


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on now; all are held open until the last is known, so that they differ."""
    holders = [socket.create_server((HOST, 0)) for _ in range(count)]
    ports = [holder.getsockname()[1] for holder in holders]
    for holder in holders:
        holder.close()
    return ports


def require_free(port: int, what: str, variable: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise Trouble(
                f"Port {port}, wanted for {what}, is in use: stop what listens there, or set {variable} to another."
            ) from error


def require_tools() -> None:
    if shutil.which("cargo") is None:
        raise Trouble("cargo is not on the PATH: install Rust, see https://rustup.rs.")
    if not tool("cargo-lambda").exists():
        raise Trouble("The project's tools are not installed: run `make setup` first.")


def tool(name: str) -> Path:
    """A program that `make setup` installed beside this interpreter."""
    return Path(sys.executable).parent / name
