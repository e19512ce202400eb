"""The end of `make run`: a workspace, one persona written before the reader's eyes, and what to try next."""

import json
import shutil
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import functions
from console import Trouble, note, paint, say
from people import Person
from settings import ROOT
from wire import Client

Event = tuple[str, dict[str, Any]]
DEFAULT_BRIEF = ROOT / "examples" / "lighthouse-keeper.md"


@dataclass(frozen=True)
class Workspace:
    id: str
    key: str


async def create_workspace(env: dict[str, str]) -> Workspace:
    port = urlsplit(env["PERSONA_LAMBDA_URL"]).port or 80
    payload = {"name": "demo", "plan": "team", "mode": "live"}
    made = await functions.invoke("admin-create-workspace", payload, env, port)
    try:
        return Workspace(made["workspace"]["id"], made["key"]["secret"])
    except (KeyError, TypeError) as error:
        raise Trouble(f"admin-create-workspace answered something else than a workspace and a key: {made}") from error


def read_brief(path: Path) -> dict[str, str]:
    """The body to post. `sahaf.tr.md` is written in, and speaks, Turkish."""
    try:
        intent = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise Trouble(f"The brief {path} cannot be read: {error.strerror}.") from error
    language = Path(path.stem).suffix.lstrip(".")
    return {"intent": intent, **({"language": language} if language else {})}


@dataclass
class Telling:
    """Prints a run's events as they come, and remembers what the closing words need."""

    run: str = ""
    persona: str = ""
    error: str = ""
    _started: dict[str, float] = field(default_factory=dict)

    def tell(self, name: str, data: dict[str, Any]) -> None:
        match name:
            case "run.started":
                self.run = data.get("run_id", "")
                say(paint(f"run {self.run}", "bold"))
            case "step.started":
                self._started[data["step"]] = time.monotonic()
                say(paint(f"  ▸ {data['step']}", "cyan"))
            case "layer.delta":
                say(f"    {paint(data['path'], 'dim')}  {_fit(_plain(data['value']), len(data['path']) + 6)}")
            case "step.completed":
                say(paint(f"  ✓ {self._completed(data)}", "green"))
            case "check.completed":
                self._tell_check(data)
            case "run.completed":
                self.persona = data["persona_id"]
                say(paint(f"{self.persona} for ${data['total_cost_usd']}", "bold"))
            case "run.failed" | "run.cancelled":
                self.error = data.get("error", {}).get("message", name)

    def _completed(self, data: dict[str, Any]) -> str:
        seconds = time.monotonic() - self._started.get(data["step"], time.monotonic())
        return f"{data['step']}  {data.get('tokens', 0)} tokens  ${data.get('cost_usd', 0)}  {seconds:.1f} s"

    def _tell_check(self, data: dict[str, Any]) -> None:
        violations = data.get("violations", [])
        say(paint(f"  ✓ consistency {data.get('score')}", "green" if not violations else "yellow"))
        for violation in violations:
            say(f"    {paint('!', 'yellow')} {_plain(violation)}")


async def create_persona(base_url: str, workspace: Workspace, brief: dict[str, str]) -> Telling:
    headers = {
        "authorization": f"Bearer {workspace.key}",
        "content-type": "application/json",
        "accept": "text/event-stream",
    }
    body = json.dumps(brief, ensure_ascii=False).encode()
    telling = Telling()
    async with Client(base_url).stream("POST", "/v1/personas?stream=true", body, headers) as (head, lines):
        if head.status != 200:
            text = b"\n".join([line async for line in lines]).decode(errors="replace")
            raise Trouble(f"POST /v1/personas answered {head.status}: {text[:500]}")
        async for name, data in _events(lines):
            telling.tell(name, data)
    return telling


async def _events(lines: AsyncIterator[bytes]) -> AsyncIterator[Event]:
    name = ""
    async for line in lines:
        text = line.decode().rstrip("\r")
        if text.startswith("event:"):
            name = text[6:].strip()
        elif text.startswith("data:") and name:
            yield name, json.loads(text[5:])
            name = ""


async def fetch_yaml(base_url: str, workspace: Workspace, persona: str) -> str:
    headers = {"authorization": f"Bearer {workspace.key}", "accept": "application/yaml"}
    answer = await Client(base_url).request("GET", f"/v1/personas/{persona}", headers=headers)
    if answer.status != 200:
        note(f"GET /v1/personas/{persona} answered {answer.status}")
    return answer.body.decode()


def tell_what_next(base_url: str, workspace: Workspace, person: Person, telling: Telling) -> None:
    authorization = '-H "Authorization: Bearer $PERSONA_API_KEY"'
    say(paint("Your workspace and its key (shown this once):", "bold"))
    say(f"  {workspace.id}")
    say(f"  export PERSONA_API_KEY={workspace.key}")
    say("Or sign in to it (docs/SIGNING_IN.md):")
    say(f"  {person.email}, password {person.password}")
    say()
    say(paint("Three things to try in another terminal:", "bold"))
    say(f"  curl -N '{base_url}/v1/personas?stream=true' {authorization} \\")
    say("    -H 'Content-Type: application/json' -d '{\"intent\": \"A retired astronaut who bakes bread\"}'")
    say(f"  curl {base_url}/v1/personas {authorization}")
    if telling.run:
        replay = f"{base_url}/v1/runs/{telling.run}/replay"
        say(f"  curl {replay} {authorization} -H 'Content-Type: application/json' -d '{{\"mode\": \"exact\"}}'")
    else:
        say(f"  curl {base_url}/v1/workspace {authorization}")
    say()


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _fit(text: str, used: int) -> str:
    """One line on a terminal; all of it where the output is kept."""
    line = " ".join(text.split())
    room = shutil.get_terminal_size().columns - used
    return line if not sys.stdout.isatty() or len(line) <= room else line[: max(20, room - 1)] + "…"
