"""The emulator of the smoke deployment: one of its own on a free port of the loopback interface, IAM enforced."""

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import boto3
from botocore.config import Config

sys.path.append(str(Path(__file__).resolve().parents[1] / "local"))
from processes import descendants, die_with_parent
from settings import HOST, free_ports

REGION = "us-east-1"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
# What functions may inherit of the surroundings; anything more would hide a variable that the template forgot.
INHERITED = ("HOME", "LANG", "PATH")


class SmokeError(Exception):
    """What did not go as it must."""


class Emulator:
    """Runs from `with` to its end; leaves no process and, with its scratch directory, no file behind."""

    def __init__(self, scratch):
        (self.port,) = free_ports(1)
        self.url = f"http://{HOST}:{self.port}"
        self.log = scratch / "emulator.log"
        self.journal = scratch / "decisions"
        self.scratch = scratch
        self.process = None

    def __enter__(self):
        environment = {name: os.environ[name] for name in INHERITED if name in os.environ} | {
            **CREDENTIALS,
            "GATEWAY_PORT": str(self.port),
            "BIND_HOST": HOST,
            "MINISTACK_HOST": HOST,
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            # Functions call the emulator, not the cloud, and each with its own role.
            "AWS_ENDPOINT_URL": self.url,
            "AUTH": "true",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "TMPDIR": str(self.scratch),
        }
        program = Path(__file__).with_name("recording_emulator.py")
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, program, self.journal],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent(),
            )
        try:
            wait_for("the emulator", 30, self.is_up)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        """Stops the emulator and the functions that it started."""
        family = [self.process.pid, *descendants(self.process.pid)]
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        for pid in family if self.process.returncode is None else family[1:]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def is_up(self):
        if self.process.poll() is not None:
            raise SmokeError(f"the emulator ended with status {self.process.returncode}: {self.last_lines(5)}")
        try:
            with urllib.request.urlopen(f"{self.url}/_localstack/health", timeout=2):
                return True
        except OSError:
            return False

    def client(self, service):
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            config=Config(read_timeout=90, retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
        )

    def decisions(self):
        """What IAM decided: decision, principal, action, resource."""
        return [tuple(line.split(" ", 3)) for line in self.journal.read_text().splitlines()]

    def last_lines(self, count):
        """Of its log, which has the functions' own lines too."""
        return "\n".join(f"    {line}" for line in self.log.read_text(errors="replace").splitlines()[-count:])


def wait_for(what, seconds, condition):
    """Until `condition()` holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SmokeError(f"waited {seconds} s for {what}")
        time.sleep(0.2)
