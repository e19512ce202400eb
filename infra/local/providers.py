"""The secret with the model providers: the local model by default, a hosted one when the environment says so."""

import json
import os
import re
import string
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from console import Trouble
from settings import HOST, ROOT

Document = dict[str, Any]
WRITING_ROLES = ("draft", "audit", "chat")

# kind -> (variable with the key, model that writes, model that judges)
HOSTED = {
    "openai": ("OPENAI_API_KEY", "gpt-4.1-mini", "gpt-4.1-mini"),
    "anthropic": ("ANTHROPIC_API_KEY", "claude-sonnet-4-5", "claude-haiku-4-5"),
    "bedrock": (
        None,
        "global.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "global.anthropic.claude-haiku-4-5-20251001-v1:0",
    ),
}
OWN_ENDPOINT_MODEL = "PERSONA_PROVIDER_MODEL must name the model to ask at PERSONA_PROVIDER_BASE_URL."
PRICES_FORM = "it is two numbers, such as 0.40,1.60: USD for a million prompt and completion tokens, or 0,0 if free"
LOOPBACK = ("localhost", "127.0.0.1", "::1")
# Whose list prices the functions know by address; shared/provider/prices.json has the prices.
LISTED_HOSTS = ("api.openai.com", "api.anthropic.com", "api.groq.com")


def choice(env: Mapping[str, str] = os.environ) -> str:
    """Which provider the environment asks for: local, sandbox, openai, anthropic or bedrock."""
    default = "openai" if env.get("PERSONA_PROVIDER_BASE_URL") else "local"
    name = env.get("PERSONA_PROVIDER") or default
    if name not in ("local", "sandbox", *HOSTED):
        raise Trouble(f"PERSONA_PROVIDER is {name!r}; it may be local, sandbox, {', '.join(HOSTED)}.")
    return name


def local(model: str, model_port: int, embeddings_port: int) -> Document:
    """No judge: what a small model says of contradictions is noise, so the rules alone decide."""
    provider = {
        "name": "local",
        "kind": "openai",
        "base_url": f"http://{HOST}:{model_port}/v1",
        "api_key": "local",
        # Steps that are ready together wait for one another; a worker itself has 900 s.
        "timeout_seconds": 840,
        "structured_output": "json_schema",
    }
    document = _document([provider], "local", model)
    document["prices"] = {"models": [{"provider": "local", "model": model, "input": 0, "output": 0}]}
    return with_local_embeddings(document, embeddings_port)


def sandbox() -> Document:
    return _document([{"name": "sandbox", "kind": "sandbox"}], "sandbox", "sandbox", embed="sandbox")


def hosted(kind: str, embeddings_port: int, env: Mapping[str, str] = os.environ) -> Document:
    variable, model, judge = HOSTED[kind]
    base_url = env.get("PERSONA_PROVIDER_BASE_URL")
    provider = {"name": kind, "kind": kind, "timeout_seconds": 120}
    if variable:
        provider["api_key"] = _key(kind, variable, env)
    if base_url:
        provider["base_url"] = base_url.rstrip("/")
        if kind == "openai" and not env.get("PERSONA_PROVIDER_MODEL"):
            raise Trouble(OWN_ENDPOINT_MODEL)
    chosen = env.get("PERSONA_PROVIDER_MODEL")
    document = _document([provider], kind, chosen or model, judge=chosen or judge)
    if chosen and (price := _price(kind, chosen, base_url, env)):
        document["prices"] = {"models": [{"provider": kind, "model": chosen, **price}]}
    if kind == "openai" and not base_url:
        document["roles"]["embed"] = [{"provider": kind, "model": "text-embedding-3-small"}]
        document["roles"]["moderate"] = [{"provider": kind, "model": "omni-moderation-latest"}]
        return document
    return with_local_embeddings(document, embeddings_port)


def require_cloud_credentials(env: Mapping[str, str] = os.environ) -> None:
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION")
    if missing := [name for name in names if not env.get(name)]:
        raise Trouble(f"PERSONA_PROVIDER=bedrock needs {', '.join(missing)} in the environment.")


def from_file(path: Path, variables: Mapping[str, str]) -> Document:
    """A document as given, with `${NAME}` replaced: ports are not known when it is written."""
    try:
        return json.loads(string.Template(path.read_text()).substitute(variables))
    except (OSError, ValueError, KeyError) as error:
        raise Trouble(f"{path} is not a usable providers document: {error!r}") from error


def _key(kind: str, variable: str, env: Mapping[str, str]) -> str:
    key = env.get("PERSONA_PROVIDER_API_KEY") or env.get(variable)
    if key:
        return key
    if env.get("PERSONA_PROVIDER_BASE_URL"):
        return "none"  # a server of one's own often wants no key
    raise Trouble(f"PERSONA_PROVIDER={kind} needs {variable} in the environment.")


def _price(kind: str, model: str, base_url: str | None, env: Mapping[str, str]) -> Document | None:
    """The chosen model's price as the environment gives it; None where the functions know it by themselves."""
    given = env.get("PERSONA_PROVIDER_PRICES")
    if given:
        amounts = [amount.strip() for amount in given.split(",")]
        if len(amounts) != 2 or not all(re.fullmatch(r"\d+(\.\d{1,6})?", amount) for amount in amounts):
            raise Trouble(f"PERSONA_PROVIDER_PRICES is {given!r}; {PRICES_FORM}.")
        return {"input": float(amounts[0]), "output": float(amounts[1])}
    host = urlsplit(base_url or "").hostname
    if (host in LOOPBACK and kind != "bedrock") or (_is_listed_host(host) and _is_listed(model)):
        return None
    where = f"{model} at {host}" if host else f"{kind}'s {model}"
    raise Trouble(
        f"No price is known for {where}, so no budget could be kept: set PERSONA_PROVIDER_PRICES; {PRICES_FORM}."
    )


def _is_listed_host(host: str | None) -> bool:
    return host is None or host in LISTED_HOSTS or host.endswith(".openai.azure.com")


def _is_listed(model: str) -> bool:
    """Whether the price list has the model or its family; which price it is, the functions decide."""
    listed = json.loads((ROOT / "shared/provider/prices.json").read_text())["models"]
    families = {entry["model"].removeprefix("regional.").removeprefix("global.") for entry in listed}
    return any(family in model for family in families)


def _document(
    providers: list[Document], name: str, model: str, judge: str | None = None, embed: str | None = None
) -> Document:
    roles = {role: [{"provider": name, "model": model}] for role in WRITING_ROLES}
    if judge:
        roles["judge"] = [{"provider": name, "model": judge}]
    if embed:
        roles["embed"] = [{"provider": name, "model": embed}]
    return {"providers": providers, "roles": roles}


def with_local_embeddings(document: Document, port: int) -> Document:
    document["providers"].append(
        {"name": "embeddings", "kind": "openai", "base_url": f"http://{HOST}:{port}/v1", "api_key": "local"}
    )
    document["roles"]["embed"] = [{"provider": "embeddings", "model": "multilingual-e5-small"}]
    return document
