"""Begins a conversation with $PERSONA, says something, and prints the answer and how far it drifted."""

import os

import httpx

client = httpx.Client(
    base_url=os.environ.get("PERSONA_BASE_URL", "https://api.persona.dev") + "/v1/chat",
    headers={"Authorization": f"Bearer {os.environ['PERSONA_API_KEY']}"},
    timeout=90,
)
conversation = client.post("/conversations", json={"persona_id": os.environ["PERSONA"]}).raise_for_status().json()
turn = client.post(f"/conversations/{conversation['id']}/messages", json={"message": "What are you reading?"})
turn = turn.raise_for_status().json()
print(turn["content"])
print(turn["drift"]["verdict"])
