"""Checks a delivery of a webhook."""

import hashlib
import hmac
import os
import sys
import time


def verify(signature: str, body: bytes, secret: str) -> None:
    """Raises unless `signature`, the header Persona-Signature, is of the raw body."""
    t, v1 = (field.split("=", 1)[1] for field in signature.split(",")[:2])
    expected = hmac.new(secret.encode(), f"{t}.".encode() + body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(v1, expected):
        raise ValueError("invalid signature")
    if time.time() - int(t) > 300:
        raise ValueError("stale")


verify(sys.argv[1], sys.stdin.buffer.read(), os.environ["PERSONA_WEBHOOK_SECRET"])
print("ok")
