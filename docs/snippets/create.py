"""Makes a persona and prints its id."""

import os
import uuid

import httpx

response = httpx.post(
    os.environ.get("PERSONA_BASE_URL", "https://api.persona.dev") + "/v1/personas",
    headers={"Authorization": f"Bearer {os.environ['PERSONA_API_KEY']}", "Idempotency-Key": str(uuid.uuid4())},
    json={
        "intent": "A 58-year-old bookseller from Istanbul who hides letters in old books",
        "visibility": "workspace",
    },
    timeout=90,
)
if response.is_error:
    raise SystemExit(response.json()["error"]["message"])
print(response.json()["id"])
