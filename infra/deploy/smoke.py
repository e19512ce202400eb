#!/usr/bin/env python3
"""Deploys the whole of template.yaml to a local emulator and creates personas through it.

Usage: smoke.py [directory of built binaries]        default: target/debug; target/lambda is the other one

Starts an emulator of its own on a free port of the loopback interface and stops it at the end, so it disturbs nothing
and leaves nothing behind. IAM is enforced there: every function runs with its own role; a policy that lacks an action
fails a call, and at the end one that has an action too many fails the whole. What the emulator cannot do is changed
mechanically in the translated template, and printed.
"""

import io
import json
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

import permissions
import scenario
import translated
from embeddings import Embeddings
from emulator import Emulator, SmokeError, wait_for

STACK = "persona-smoke"
AT_ONCE = 4
STACK_SECONDS = 120
BEGUN = time.monotonic()


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("smoke: stopped"))
    directory = Path(sys.argv[1]) if len(sys.argv) > 1 else translated.PROJECT / "target" / "debug"
    template = translated.source()
    functions = translated.binaries(template)
    files = {binary: built(directory.resolve(), binary) for binary in functions.values()}
    missing = sorted(binary for binary, file in files.items() if file is None)
    if missing:
        sys.exit(f"smoke: {directory} lacks {', '.join(missing)}; build first (cargo build -p functions)")

    with tempfile.TemporaryDirectory(prefix="persona-smoke-") as scratch:
        try:
            with Emulator(Path(scratch)) as emulator:
                say(f"emulator up at {emulator.url}, enforcing IAM")
                try:
                    run(emulator, template, functions, files)
                except (SmokeError, BotoCoreError, ClientError):
                    print(emulator.last_lines(60), file=sys.stderr)
                    raise
        except (SmokeError, BotoCoreError, ClientError) as error:
            sys.exit(f"smoke: FAILED: {error}")
    say("passed")


def built(directory, binary):
    """Where cargo or cargo-lambda put a binary."""
    places = [directory / binary, directory / binary / "bootstrap"]
    return next((place for place in places if place.is_file()), None)


def run(emulator, template, functions, files):
    """Deploys, asks, asserts, deletes."""
    streaming = json.dumps(template).count('"ResponseTransferMode": "RESPONSE_STREAM"')
    plain = translated.translate(template)
    upload(emulator, files)
    for change in fit_to_emulator(plain, streaming):
        say(f"for the emulator: {change}")
    outputs = deploy(emulator, plain)
    with Embeddings() as embeddings:
        secret = outputs["ProvidersSecret"]
        emulator.client("secretsmanager").put_secret_value(SecretId=secret, SecretString=embeddings.document())
        scenario.play(emulator, outputs, say)
    check_permissions(emulator, plain, functions)
    emulator.client("cloudformation").delete_stack(StackName=STACK)
    wait_for("the stack to be gone", STACK_SECONDS, lambda: stack_status(emulator) in (None, "DELETE_COMPLETE"))
    say("deleted the stack")


def upload(emulator, files):
    """One zip with a `bootstrap` a function, and the template of the data."""
    s3 = emulator.client("s3")
    s3.create_bucket(Bucket=translated.CODE_BUCKET)
    size = 0
    for binary, file in files.items():
        archive = zipped(file)
        size += len(archive)
        s3.put_object(Bucket=translated.CODE_BUCKET, Key=f"{binary}.zip", Body=archive)
    data = (translated.PROJECT / "infra/data.yaml").read_bytes()
    s3.put_object(Bucket=translated.CODE_BUCKET, Key="data.yaml", Body=data)
    say(f"uploaded {len(files)} functions, {size / 1e6:.0f} MB")


def zipped(binary):
    """The binary, without debug information, as Lambda wants it."""
    with tempfile.TemporaryDirectory() as scratch:
        bootstrap = Path(scratch) / "bootstrap"
        # Without strip on the machine, or for another machine's binary, it goes as it is.
        if not shutil.which("strip") or subprocess.run(["strip", "-o", bootstrap, binary], check=False).returncode:
            shutil.copy(binary, bootstrap)
        entry = zipfile.ZipInfo("bootstrap")
        entry.external_attr = 0o755 << 16
        entry.compress_type = zipfile.ZIP_DEFLATED
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as target:
            target.writestr(entry, bootstrap.read_bytes(), compresslevel=1)
        return archive.getvalue()


def fit_to_emulator(plain, streaming):
    """Changes what the emulator cannot do; yields a sentence for each change."""
    resources = plain["Resources"]
    streams = 0
    for _, _, integration in translated.operations(plain):
        if integration.pop("responseTransferMode", None) == "STREAM":
            uri = integration["uri"]["Fn::Sub"]
            uri = uri.replace("/2021-11-15/", "/2015-03-31/").replace("/response-streaming-invocations", "/invocations")
            integration["uri"] = {"Fn::Sub": uri}
            streams += 1
    if streams != streaming:
        raise SmokeError(f"{streaming} routes are to stream, the translated template has {streams}")
    yield f"{streams} streaming routes are called without response streaming; their answers come framed and whole"

    methods = ["get", "post", "put", "patch", "delete", "options", "head"]
    for path in resources["Api"]["Properties"]["Body"]["paths"].values():
        operation = path.pop("x-amazon-apigateway-any-method", None)
        for method in methods if operation else []:
            path.setdefault(method, operation)
    yield "ANY methods are spelled out"

    resources["Data"]["Properties"]["TemplateURL"] = template_url("data.yaml")
    yield "the nested template is read from its S3"

    for source in (r for r in resources.values() if r["Type"] == "AWS::Lambda::EventSourceMapping"):
        source["Properties"]["ScalingConfig"]["MaximumConcurrency"] = AT_ONCE
    yield f"event sources run {AT_ONCE} workers at once by a number, since it cannot compare a parameter's text"

    shared = [resources[name]["Properties"] for name in ("Authenticate", "Once", "Account")]
    roles = [role["Properties"] for role in resources.values() if role["Type"] == "AWS::IAM::Role"]
    own = [policy for role in roles for policy in role.get("Policies", [])]
    for policy in shared + own:
        for statement in policy["PolicyDocument"]["Statement"]:
            statement.pop("Condition", None)
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
    architecture = "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"
    parameters = {"Environment": "development", "Architecture": architecture, "PublicUrl": "https://api.example"}
    cloud.create_stack(
        StackName=STACK,
        TemplateURL=template_url("template.json"),
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
    )
    wait_for("the stack", STACK_SECONDS, lambda: stack_status(emulator) not in ("CREATE_IN_PROGRESS", None))
    if stack_status(emulator) != "CREATE_COMPLETE":
        events = cloud.describe_stack_events(StackName=STACK)["StackEvents"]
        failed = [e for e in events if e["ResourceStatus"].endswith("FAILED")]
        reasons = "; ".join(f"{e['LogicalResourceId']}: {e.get('ResourceStatusReason')}" for e in failed)
        raise SmokeError(f"the stack is {stack_status(emulator)}: {reasons}")
    say(f"created the stack: {len(physical_ids(emulator))} resources")
    return stack_outputs(cloud, STACK)


def template_url(key):
    """Path style; the emulator takes the bucket from the path alone."""
    return f"https://s3.amazonaws.com/{translated.CODE_BUCKET}/{key}"


def stack_status(emulator):
    cloud = emulator.client("cloudformation")
    try:
        return cloud.describe_stacks(StackName=STACK)["Stacks"][0]["StackStatus"]
    except ClientError:
        return None


def stack_outputs(cloud, stack):
    outputs = cloud.describe_stacks(StackName=stack)["Stacks"][0]["Outputs"]
    return {output["OutputKey"]: output["OutputValue"] for output in outputs}


def physical_ids(emulator):
    resources = emulator.client("cloudformation").describe_stack_resources(StackName=STACK)["StackResources"]
    return {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in resources}


def check_permissions(emulator, plain, functions):
    """Every permission of every role was needed by some call, and no call needed another."""
    ids = physical_ids(emulator)
    role = {name: plain["Resources"][name]["Properties"]["Role"]["Fn::GetAtt"][0] for name in functions}
    roles = {ids[role[name]].rpartition("/")[2]: binary for name, binary in functions.items()}
    outputs = stack_outputs(emulator.client("cloudformation"), ids["Data"])
    allowed = set(permissions.allowed(plain, functions))
    if faults := list(permissions.faults(allowed, emulator.decisions(), roles, outputs)):
        raise SmokeError("; ".join(faults))
    say(f"used each of the {len(allowed)} permissions on tables, queues and secrets, and was refused none")


def say(text):
    print(f"smoke: {time.monotonic() - BEGUN:4.0f} s  {text}", flush=True)


if __name__ == "__main__":
    main()
