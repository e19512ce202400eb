"""Runs the commands of the user's page against the local stack, and writes what they print into the README.

`make session` starts the stack and this. What is between the markers of the README comes from here alone: lines are
cut and left out by rules, never by hand. The person in the browser is played over HTTP: pages are read, forms filled
in, cookies kept.
"""

import html
import http.cookiejar
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- session: made by `make session` -->", "<!-- end of session -->"
BRIEF = "A 58-year-old bookseller from Istanbul who hides letters in old books\n"
WIDTH, HEAD, TAIL = 116, 9, 4
EMAIL, PASSWORD = "ada@example.com", "Sahaf-1973-letters"
ASKED = [
    {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "a host", "version": "1"},
        },
    },
    {"jsonrpc": "2.0", "id": 2, "method": "tools/list"},
]


def posted(url: str, body: bytes, headers: dict[str, str] | None = None) -> dict:
    with urllib.request.urlopen(urllib.request.Request(url, body, headers or {})) as answer:
        return json.loads(answer.read() or b"{}")


def administrator(function: str, body: dict) -> dict:
    base = os.environ["PERSONA_LAMBDA_URL"]
    return posted(f"{base}/2015-03-31/functions/{function}/invocations", json.dumps(body).encode())


def pool(action: str, body: dict) -> dict:
    """Calls the emulator's user pool, where the stack's people have their accounts."""
    credential = "Credential=test/20260101/us-east-1/cognito-idp/aws4_request, SignedHeaders=host, Signature=0"
    headers = {
        "X-Amz-Target": f"AWSCognitoIdentityProviderService.{action}",
        "Content-Type": "application/x-amz-json-1.1",
        "Authorization": f"AWS4-HMAC-SHA256 {credential}",
    }
    body = {"UserPoolId": os.environ["SIGN_IN_POOL_ID"], **body}
    return posted(os.environ["AWS_ENDPOINT_URL"], json.dumps(body).encode(), headers)


def account(workspace: str) -> None:
    attributes = [{"Name": "email", "Value": EMAIL}, {"Name": "email_verified", "Value": "true"}]
    made = pool("AdminCreateUser", {"Username": EMAIL, "UserAttributes": attributes, "MessageAction": "SUPPRESS"})
    name = made["User"]["Username"]
    pool("AdminSetUserPassword", {"Username": name, "Password": PASSWORD, "Permanent": True})
    scopes = ["read", "write", "chat"]
    administrator("admin-members", {"workspace_id": workspace, "set": [{"email": EMAIL, "scopes": scopes}]})


def attributes(tag: str) -> dict[str, str]:
    return {name: html.unescape(value) for name, value in re.findall(r'([\w-]+)="([^"]*)"', tag)}


def signs_in(address: str) -> None:
    """A person who opens the address, signs in and approves; at the end the browser is back at the command line."""
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
    page = browser.open(address)
    for filled in ({"username": EMAIL, "password": PASSWORD}, {"decision": "approve"}):
        text = page.read().decode()
        form = re.search(r"<form [^>]*>", text)
        if not form:
            sys.exit(f"no form at {page.url}:\n{text}")
        tags = re.findall(r"<input [^>]*>", text)
        chosen = [attributes(tag) for tag in tags if 'type="hidden"' in tag or " checked" in tag]
        values = {each["name"]: each.get("value", "") for each in chosen} | filled
        target = urllib.parse.urljoin(page.url, attributes(form.group())["action"])
        page = browser.open(target, urllib.parse.urlencode(values).encode())
    page.read()


class Session:
    """A terminal, and what was seen on it."""

    def __init__(self, home: Path) -> None:
        binary = Path(os.environ["PERSONA_BINARIES"])
        self.home = home
        self.seen: list[str] = []
        self.environment = {
            "PATH": f"{binary}:{os.environ['PATH']}",
            "HOME": str(home),
            "PERSONA_NO_KEYRING": "1",
            "PERSONA_BASE_URL": os.environ["PERSONA_BASE_URL"],
            "BROWSER": str(home / "browser"),
        }
        opener = home / "browser"
        opener.write_text(
            f"#!/bin/sh\nprintf '%s' \"$1\" > '{home}/address.new'\nmv '{home}/address.new' '{home}/address'\n"
        )
        opener.chmod(0o755)

    def start(self, command: str) -> subprocess.Popen:
        pipe = subprocess.PIPE
        return subprocess.Popen(
            ["sh", "-c", command], cwd=self.home, env=self.environment, text=True,
            stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def show(self, command: str, output: str, typed: str = "") -> str:
        lines = (typed + output).splitlines()
        if len(lines) > HEAD + TAIL + 1:
            lines = [*lines[:HEAD], "…", *lines[-TAIL:]]
        cut = [line if len(line) <= WIDTH else line[: WIDTH - 1] + "…" for line in lines]
        self.seen += [f"$ {command}", *cut, ""]
        return output

    def run(self, command: str, typed: str = "") -> str:
        process = self.start(command)
        output, _ = process.communicate(typed)
        if process.returncode:
            sys.exit(f"{command} ended with {process.returncode}:\n{output}")
        return self.show(command, output, typed)

    def login(self) -> None:
        process = self.start("persona auth login")
        address = self.home / "address"
        while not address.exists():
            if process.poll() is not None:
                sys.exit(process.communicate()[0])
            time.sleep(0.05)
        signs_in(address.read_text())
        self.show("persona auth login", process.communicate(timeout=30)[0])


def session(home: Path) -> str:
    """The five commands, in the order of the page."""
    made = administrator("admin-create-workspace", {"name": "Acme Studio", "plan": "team", "mode": "test"})
    workspace = made["workspace"]["id"]
    account(workspace)
    terminal = Session(home)
    terminal.login()
    typed = "".join(json.dumps(message) + "\n" for message in ASKED)
    terminal.run(f"persona mcp serve --workspace {workspace}", typed)
    (home / "brief.md").write_text(BRIEF)
    terminal.show("cat brief.md", BRIEF)
    created = terminal.run("persona personas create -f ./brief.md --visibility workspace")
    run = re.search(r"run_\w+", created).group()
    persona = re.search(r"psn_\w+", created).group()
    terminal.run(f"persona runs tail {run}")
    terminal.run(f"persona personas pull {persona} -o bookseller.yml")
    terminal.run("head -n 22 bookseller.yml")
    terminal.run("persona personas push bookseller.yml")
    return "\n".join(terminal.seen).rstrip()


def main() -> None:
    readme = ROOT / "README.md"
    with tempfile.TemporaryDirectory() as home:
        seen = session(Path(home))
    before, _, rest = readme.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        sys.exit(f"{readme} has not both markers, {BEGIN} and {END}")
    readme.write_text(f"{before}{BEGIN}\n```console\n{seen}\n```\n{END}{after}")


if __name__ == "__main__":
    main()
