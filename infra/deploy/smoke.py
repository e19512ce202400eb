#!/usr/bin/env python3
"""Deploys the whole of template.yaml to a local emulator and creates a persona through it.

Usage: smoke.py [directory of built binaries]        default: target/debug

Starts an emulator of its own on a free port of the loopback interface and stops it at the end, so it disturbs nothing
and leaves nothing behind. IAM is enforced there: every function runs with its own role, and a policy that lacks an
action fails the run. What the emulator cannot do is changed mechanically in the translated template, and printed.
"""

import io
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

import translated

STACK = "persona-smoke"
REGION = "us-east-1"
INTENT = "A 54-year-old chef from New York who is a social media influencer"
# A streamed answer is this prelude of JSON (status, headers), eight zero bytes, then the body.
PRELUDE_END = b"\0" * 8
STEPS_AT_ONCE = 4
STACK_SECONDS = 120
RUN_SECONDS = 60


def main():
    directory = Path(sys.argv[1] if len(sys.argv) > 1 else translated.PROJECT / "target" / "debug").resolve()
    template = translated.source()
    binaries = translated.binaries(template)
    missing = sorted(binary for binary in binaries.values() if not (directory / binary).is_file())
    if missing:
        sys.exit(f"smoke: {directory} lacks {', '.join(missing)}; build first (cargo build -p functions)")

    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="persona-smoke-") as scratch, Emulator(Path(scratch)) as emulator:
        try:
            run(emulator, translated.translate(template), directory, sorted(set(binaries.values())))
        except (SmokeError, BotoCoreError, ClientError) as error:
            say(f"FAILED: {error}")
            emulator.show_log()
            sys.exit(1)
    say(f"passed in {time.monotonic() - started:.0f} s")


def run(emulator, plain, directory, binaries):
    """Deploys, asks, asserts, deletes."""
    upload(emulator, directory, binaries)
    for change in fit_to_emulator(plain):
        say(f"for the emulator: {change}")
    outputs = deploy(emulator, plain)
    key = create_workspace(emulator, outputs["CreateWorkspaceFunction"])
    api = Api(f"{emulator.url}/_aws/execute-api/{outputs['ApiId']}/api", key)
    check_fallback(api)
    persona = create_persona(api)
    check_streamed_form(api)
    check_lists(api, persona)
    delete_persona(api, persona)
    check_reaper(emulator)
    emulator.client("cloudformation").delete_stack(StackName=STACK)
    wait_for("the stack to be gone", STACK_SECONDS, lambda: stack_status(emulator) in (None, "DELETE_COMPLETE"))
    say("deleted the stack")


def upload(emulator, directory, binaries):
    """One zip with a `bootstrap` a function, and the template of the data."""
    s3 = emulator.client("s3")
    s3.create_bucket(Bucket=translated.CODE_BUCKET)
    size = 0
    for binary in binaries:
        archive = zipped(directory / binary)
        size += len(archive)
        s3.put_object(Bucket=translated.CODE_BUCKET, Key=f"{binary}.zip", Body=archive)
    data = (translated.PROJECT / "infra/data.yaml").read_bytes()
    s3.put_object(Bucket=translated.CODE_BUCKET, Key="data.yaml", Body=data)
    say(f"uploaded {len(binaries)} functions, {size / 1e6:.1f} MB")


def zipped(binary):
    """The binary, without debug information, as Lambda wants it."""
    with tempfile.TemporaryDirectory() as scratch:
        bootstrap = Path(scratch) / "bootstrap"
        shutil.copy(binary, bootstrap)
        # A script has nothing to strip; a release binary is stripped already.
        subprocess.run(["strip", bootstrap], check=False, stderr=subprocess.DEVNULL)
        entry = zipfile.ZipInfo("bootstrap")
        entry.external_attr = 0o755 << 16
        entry.compress_type = zipfile.ZIP_DEFLATED
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w", compresslevel=1) as target:
            target.writestr(entry, bootstrap.read_bytes())
        return archive.getvalue()


def fit_to_emulator(plain):
    """Changes what the emulator cannot do; yields a sentence for each change."""
    resources = plain["Resources"]
    streams = 0
    for _, _, integration in translated.operations(plain):
        if integration.pop("responseTransferMode", None) == "STREAM":
            uri = integration["uri"]["Fn::Sub"]
            uri = uri.replace("/2021-11-15/", "/2015-03-31/").replace("/response-streaming-invocations", "/invocations")
            integration["uri"] = {"Fn::Sub": uri}
            streams += 1
    yield f"{streams} streaming routes are called without response streaming; their answers come framed and whole"

    methods = ["get", "post", "put", "patch", "delete", "options", "head"]
    for path in resources["Api"]["Properties"]["Body"]["paths"].values():
        operation = path.pop("x-amazon-apigateway-any-method", None)
        for method in methods if operation else []:
            path.setdefault(method, operation)
    yield "ANY methods are spelled out"

    resources["Data"]["Properties"]["TemplateURL"] = template_url("data.yaml")
    yield "the nested template is read from its S3"

    resources["WorkerStepsSource"]["Properties"]["ScalingConfig"]["MaximumConcurrency"] = STEPS_AT_ONCE
    yield f"the event source runs {STEPS_AT_ONCE} steps at once by a number, since it cannot compare a parameter's text"

    for statement in resources["Authenticate"]["Properties"]["PolicyDocument"]["Statement"]:
        del statement["Condition"]
    yield "routes may update every item of the workspaces table, since it does not know dynamodb:LeadingKeys"

    for role in (r for r in resources.values() if r["Type"] == "AWS::IAM::Role"):
        for policy in role["Properties"].get("Policies", []):
            for statement in policy["PolicyDocument"]["Statement"]:
                if statement["Action"] == ["sqs:SendMessage"]:
                    statement["Action"] = ["sqs:SendMessage", "sqs:SendMessageBatch"]
    yield "who may send messages may send batches, which it takes for an action of its own"


def deploy(emulator, plain):
    """Creates the stack and returns its outputs."""
    # Over the limit for a template in the request itself.
    body = json.dumps(plain)
    emulator.client("s3").put_object(Bucket=translated.CODE_BUCKET, Key="template.json", Body=body.encode())
    cloud = emulator.client("cloudformation")
    begun = time.monotonic()
    cloud.create_stack(
        StackName=STACK,
        TemplateURL=template_url("template.json"),
        Parameters=[
            {"ParameterKey": "Environment", "ParameterValue": "development"},
            {"ParameterKey": "Architecture", "ParameterValue": "x86_64"},
        ],
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
    )
    wait_for("the stack", STACK_SECONDS, lambda: stack_status(emulator) not in ("CREATE_IN_PROGRESS", None))
    if stack_status(emulator) != "CREATE_COMPLETE":
        events = cloud.describe_stack_events(StackName=STACK)["StackEvents"]
        failed = [e for e in events if e["ResourceStatus"].endswith("FAILED")]
        reasons = "; ".join(f"{e['LogicalResourceId']}: {e.get('ResourceStatusReason')}" for e in failed)
        raise SmokeError(f"the stack is {stack_status(emulator)}: {reasons}")
    count = len(cloud.describe_stack_resources(StackName=STACK)["StackResources"])
    say(f"created the stack: {count} resources in {time.monotonic() - begun:.1f} s")
    stack = cloud.describe_stacks(StackName=STACK)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def template_url(key):
    """Path style; the emulator takes the bucket from the path alone."""
    return f"https://s3.amazonaws.com/{translated.CODE_BUCKET}/{key}"


def stack_status(emulator):
    cloud = emulator.client("cloudformation")
    try:
        return cloud.describe_stacks(StackName=STACK)["Stacks"][0]["StackStatus"]
    except ClientError:
        return None


def create_workspace(emulator, function):
    """Through the administrator's function, as docs/DEPLOYING.md does it; returns the key."""
    payload = {"name": "smoke", "plan": "team", "mode": "test"}
    answer = emulator.client("lambda").invoke(FunctionName=function, Payload=json.dumps(payload))
    body = json.loads(answer["Payload"].read())
    if answer.get("FunctionError") or not body.get("key", {}).get("secret", "").startswith("pk_test_"):
        raise SmokeError(f"{function} answered {body}")
    say(f"made the workspace {body['workspace']['id']}")
    return body["key"]["secret"]


def check_fallback(api):
    """The gateway sends what no route answers to the fallback, which speaks the contract."""
    expect(api.call("GET", "/v1/workspace"), 200)
    expect(api.call("GET", "/v1/nowhere"), 404, "resource.not_found")
    expect(api.call("PUT", "/v1/personas"), 405, "request.method_not_allowed")
    expect(api.call("GET", "/v1/personas", key="pk_test_wrong"), 401, "auth.invalid_key")
    preflight = api.call("OPTIONS", "/v1/personas", headers={"Origin": "https://app.example"})
    if preflight.headers.get("access-control-allow-origin") != "*":
        raise SmokeError(f"OPTIONS /v1/personas allows no origin: {preflight.headers}")
    say("answered: workspace, unknown path, wrong method, wrong key, preflight")


def create_persona(api):
    """A run without waiting, polled to its end; the queue's event source runs the steps."""
    begun = time.monotonic()
    accepted = expect(api.call("POST", "/v1/personas", {"intent": INTENT}, {"Prefer": "respond-async"}), 202).json()
    path = f"/v1/runs/{accepted['id']}"
    final = []

    def ended():
        final[:] = [expect(api.call("GET", path), 200).json()]
        return final[0]["status"] not in ("queued", "running")

    wait_for(f"{accepted['id']} to end", RUN_SECONDS, ended)
    result = final[0]
    if result["status"] != "completed":
        raise SmokeError(f"{result['id']} is {result['status']}: {result.get('error')}")
    steps = ", ".join(step["name"] for step in result["steps"])
    say(f"{result['id']} completed in {time.monotonic() - begun:.1f} s: {steps}")
    events = expect(api.call("GET", f"{path}/events"), 200).json()["data"]
    say(f"its log has {len(events)} events")

    listed = expect(api.call("GET", "/v1/personas"), 200).json()["data"]
    if len(listed) != 1:
        raise SmokeError(f"the workspace has {len(listed)} personas instead of one")
    persona = expect(api.call("GET", f"/v1/personas/{listed[0]['id']}"), 200).json()
    for layer in ("identity", "soul", "voice"):
        if not persona.get(layer):
            raise SmokeError(f"{persona['id']} has no {layer}")
    if persona["lineage"]["run_id"] != result["id"]:
        raise SmokeError(f"{persona['id']} names the run {persona['lineage']['run_id']}")
    say(f"{persona['id']} is {persona['identity']['name']}: {persona['soul']['core_desire']}")
    return persona


def check_streamed_form(api):
    """The same as server-sent events: the emulator hands the whole stream over at its end."""
    answer = expect(api.call("POST", "/v1/personas?stream=true", {"intent": INTENT}), 200)
    names = [line[7:] for line in answer.body.decode().splitlines() if line.startswith("event: ")]
    if not names or names[0] != "run.started" or names[-1] != "run.completed":
        raise SmokeError(f"the stream is {names}")
    say(f"streamed {len(names)} events, {names.count('layer.delta')} of them layer.delta")


def check_lists(api, persona):
    """One call of each route that is left, so that every role is used once."""
    runs = expect(api.call("GET", "/v1/runs"), 200).json()["data"]
    run_id = persona["lineage"]["run_id"]
    if run_id not in [entry["id"] for entry in runs]:
        raise SmokeError(f"{run_id} is not among the runs")
    expect(api.call("GET", "/v1/pipelines"), 200)
    expect(api.call("GET", "/v1/pipelines/default"), 200)
    expect(api.call("POST", f"/v1/runs/{run_id}/cancel"), 409, "run.not_cancellable")
    replay = expect(api.call("POST", f"/v1/runs/{run_id}/replay", {"mode": "exact"}), 200, 201, 202).json()
    say(f"replayed {run_id} as {replay['id']}")
    expect(api.call("GET", f"/v1/runs/{run_id}/diff?against={runs[0]['id']}"), 200)


def delete_persona(api, persona):
    path = f"/v1/personas/{persona['id']}"
    expect(api.call("DELETE", path), 200, 204)
    expect(api.call("GET", path), 404, "resource.not_found")
    say(f"deleted {persona['id']}")


def check_reaper(emulator):
    """Its schedule has not come round yet: one call, as the schedule makes it."""
    cloud = emulator.client("cloudformation")
    function = cloud.describe_stack_resource(StackName=STACK, LogicalResourceId="WorkerReaper")
    name = function["StackResourceDetail"]["PhysicalResourceId"]
    event = {"version": "0", "source": "aws.events", "detail-type": "Scheduled Event", "region": REGION, "detail": {}}
    answer = emulator.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event))
    if answer.get("FunctionError"):
        raise SmokeError(f"{name} answered {answer['Payload'].read()!r}")
    say("the reaper found nothing to do")


class Emulator:
    """The emulator, on a free port, from `with` to its end."""

    def __init__(self, scratch):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = scratch / "emulator.log"
        self.scratch = scratch
        self.process = None

    def __enter__(self):
        environment = os.environ | {
            "GATEWAY_PORT": str(self.port),
            "BIND_HOST": "127.0.0.1",
            "MINISTACK_HOST": "127.0.0.1",
            "IOT_MTLS_ENABLED": "0",
            # Functions call the emulator, not the cloud, and each with its own role.
            "AWS_ENDPOINT_URL": self.url,
            "AUTH": "true",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "TMPDIR": str(self.scratch),
        }
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "ministack"], env=environment, stdout=log, stderr=subprocess.STDOUT
            )
        wait_for("the emulator", 30, self.is_up)
        say(f"emulator up at {self.url}, enforcing IAM")
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def is_up(self):
        if self.process.poll() is not None:
            self.show_log()
            raise SmokeError("the emulator did not start; its package is in infra/requirements.txt")
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
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(read_timeout=90, retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
        )

    def show_log(self):
        """Its last lines: among them the functions' own."""
        for line in self.log.read_text(errors="replace").splitlines()[-60:]:
            print(f"    {line}", file=sys.stderr)


class Api:
    """The deployed API, called with one key."""

    def __init__(self, base, key):
        self.base = base
        self.key = key

    def call(self, method, path, body=None, headers=None, key=None):
        request = urllib.request.Request(
            self.base + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {key or self.key}", "Content-Type": "application/json"} | (headers or {}),
        )
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return Answer(f"{method} {path}", answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as answer:
            return Answer(f"{method} {path}", answer.code, answer.headers, answer.read())


class Answer:
    """An answer. A framed one, which the gateway in the cloud would have unpacked, is unpacked here."""

    def __init__(self, name, status, headers, body):
        prelude, end, rest = body.partition(PRELUDE_END)
        if end:
            frame = json.loads(prelude)
            status, headers, body = frame["statusCode"], frame.get("headers", {}), rest
        self.name = name
        self.status = status
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.body = body

    def json(self):
        return json.loads(self.body)


class SmokeError(Exception):
    """What did not go as it must."""


def expect(answer, *wanted):
    """The answer, if it has one of the statuses and the error code in `wanted`."""
    statuses = [value for value in wanted if isinstance(value, int)]
    codes = [value for value in wanted if isinstance(value, str)]
    if answer.status not in statuses:
        raise SmokeError(f"{answer.name}: {answer.status} instead of {statuses}: {answer.body[:500]!r}")
    if codes and answer.json()["error"]["code"] not in codes:
        raise SmokeError(f"{answer.name}: {answer.body[:500]!r} instead of {codes}")
    return answer


def wait_for(what, seconds, condition):
    """Until `condition()` holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SmokeError(f"waited {seconds} s for {what}")
        time.sleep(0.2)


def say(text):
    print(f"smoke: {text}", flush=True)


if __name__ == "__main__":
    main()
