"""What the client scripts share: where the stack is, and one line a check."""

import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

API = os.environ["PERSONA_BASE_URL"]
BASE = f"{API}/v1/openai"
KEY = os.environ["PERSONA_API_KEY"]
MODEL = os.environ["PERSONA_MODEL"]
CONVERSATION = os.environ["PERSONA_CONVERSATION"]
# A key of a workspace whose bucket is small, and a persona there.
LIMITED_KEY = os.environ["PERSONA_LIMITED_KEY"]
LIMITED_MODEL = os.environ["PERSONA_LIMITED_MODEL"]
EMBEDDINGS = "sandbox-1"
# docs/sandbox.md: the simulation calls a function where the message says so.
ASKS_FOR_WEATHER = 'How is the weather in Izmir? [[call:get_weather {"city": "Izmir"}]]'
CALLS_AT_MOST = 200


def check(what: str, holds: object, seen: object = None) -> None:
    """Prints the check, or ends the script with what was seen instead."""
    if not holds:
        print(f"FAILED {what}: {seen!r}")
        sys.exit(1)
    print(f"ok {what}")


def until_raised(call: Callable[[], object]) -> Exception | None:
    """Calls until a call raises; a bucket is empty soon."""
    for _ in range(CALLS_AT_MOST):
        try:
            call()
        except Exception as error:
            return error
    return None


def drain() -> None:
    """Empties the small bucket."""
    request = urllib.request.Request(f"{BASE}/models", headers={"Authorization": f"Bearer {LIMITED_KEY}"})
    error = until_raised(lambda: urllib.request.urlopen(request).close())
    check("the bucket is empty", isinstance(error, urllib.error.HTTPError) and error.code == 429, error)


def transcript() -> list[dict[str, Any]]:
    """The conversation as the API itself tells it, newest first."""
    url = f"{API}/v1/chat/conversations/{CONVERSATION}/messages?limit=100"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {KEY}"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["data"]
