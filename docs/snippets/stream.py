"""Makes a persona and prints each field of it as soon as it is known."""

import json
import os

import httpx

request = {"intent": "A 66-year-old chef from Sydney who collects vintage cars"}
with httpx.stream(
    "POST",
    os.environ.get("PERSONA_BASE_URL", "https://api.persona.dev") + "/v1/personas?stream=true",
    headers={"Authorization": f"Bearer {os.environ['PERSONA_API_KEY']}", "Accept": "text/event-stream"},
    json=request,
    timeout=60,  # between two signs of life; the stream itself may last longer
) as response:
    response.raise_for_status()
    event = ""
    for line in response.iter_lines():
        name, _, value = line.partition(": ")
        if name == "event":
            event = value
        elif name == "data":
            data = json.loads(value)
            print(event, data.get("path") or data.get("step") or data.get("persona_id"))
