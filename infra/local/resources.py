"""Applies infra/data.yaml to the emulator; its outputs become the environment that functions read."""

import asyncio
import json
import re
import secrets
from collections.abc import Mapping
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, WaiterError

from console import Trouble
from mapping import QUEUES
from settings import ROOT

TEMPLATE = ROOT / "infra" / "data.yaml"
STACK = "persona-data"
REQUIRED = (
    "WORKSPACES_TABLE",
    "PERSONAS_TABLE",
    "RUNS_TABLE",
    "CONVERSATIONS_TABLE",
    "WEBHOOKS_TABLE",
    "MARKETPLACE_TABLE",
    "STEPS_QUEUE_URL",
    "EVENTS_QUEUE_URL",
    "DELIVERIES_QUEUE_URL",
    "PROVIDERS_SECRET",
    "SIGNING_SECRET",
    "WEBHOOKS_SECRET",
    "SIGN_IN_SECRET",
    "SIGN_IN_POOL_ID",
)


def client(service: str, env: Mapping[str, str]) -> Any:
    return boto3.client(
        service,
        endpoint_url=env["AWS_ENDPOINT_URL"],
        region_name=env["AWS_REGION"],
        aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=env.get("AWS_SESSION_TOKEN"),
        config=Config(retries={"total_max_attempts": 3}, connect_timeout=5, read_timeout=30),
    )


async def apply(env: Mapping[str, str], providers: dict[str, Any], visibility: int | None) -> dict[str, str]:
    """Creates every resource and fills the secrets. The answer: the outputs, as variables."""
    try:
        cloudformation = client("cloudformation", env)
        outputs = await asyncio.to_thread(_create_stack, cloudformation, env["PERSONA_BASE_URL"])
        variables = {variable_name(key): value for key, value in outputs.items()}
        if missing := [name for name in REQUIRED if name not in variables]:
            raise Trouble(f"infra/data.yaml has no output for {', '.join(missing)}.")
        manager = client("secretsmanager", env)
        await asyncio.to_thread(_fill_secrets, manager, variables, providers)
        await asyncio.to_thread(lead_to_emulator, manager, variables, env["AWS_ENDPOINT_URL"])
        if visibility is not None:
            await asyncio.to_thread(_hide_messages_for, client("sqs", env), variables, visibility)
    except (BotoCoreError, ClientError) as error:
        raise Trouble(f"The emulator did not accept infra/data.yaml: {error}") from error
    return variables


def variable_name(output: str) -> str:
    """`RunsTableName` is read as `RUNS_TABLE`, `StepsQueueUrl` as `STEPS_QUEUE_URL`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", output).upper().removesuffix("_NAME")


def _create_stack(cloudformation: Any, public_url: str) -> dict[str, str]:
    cloudformation.create_stack(
        StackName=STACK,
        TemplateBody=TEMPLATE.read_text(),
        Parameters=[{"ParameterKey": "PublicUrl", "ParameterValue": public_url}],
        Capabilities=["CAPABILITY_AUTO_EXPAND"],
    )
    try:
        waiter = cloudformation.get_waiter("stack_create_complete")
        waiter.wait(StackName=STACK, WaiterConfig={"Delay": 0.1, "MaxAttempts": 300})
    except WaiterError as error:
        raise Trouble(f"The emulator could not create infra/data.yaml: {_reason(cloudformation) or error}") from error
    (stack,) = cloudformation.describe_stacks(StackName=STACK)["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


def _reason(cloudformation: Any) -> str:
    events = cloudformation.describe_stack_events(StackName=STACK)["StackEvents"]
    return "; ".join(
        f"{event['LogicalResourceId']}: {event['ResourceStatusReason']}"
        for event in events
        if event["ResourceStatus"].endswith("FAILED") and event.get("ResourceStatusReason")
    )


def _hide_messages_for(sqs: Any, variables: Mapping[str, str], seconds: int) -> None:
    """A failed message comes again after the cloud's hour and a half; tests have less patience."""
    for each in QUEUES:
        sqs.set_queue_attributes(QueueUrl=variables[each.variable], Attributes={"VisibilityTimeout": str(seconds)})


def _fill_secrets(manager: Any, variables: Mapping[str, str], providers: dict[str, Any]) -> None:
    manager.put_secret_value(SecretId=variables["PROVIDERS_SECRET"], SecretString=json.dumps(providers))
    for name in ("SIGNING_SECRET", "WEBHOOKS_SECRET"):
        key = {"key": secrets.token_urlsafe(32)}
        manager.put_secret_value(SecretId=variables[name], SecretString=json.dumps(key))


def lead_to_emulator(manager: Any, variables: Mapping[str, str], endpoint: str) -> None:
    """The pool's issuer is Cognito's own address; the emulator answers for it at another."""
    name = variables["SIGN_IN_SECRET"]
    document = json.loads(manager.get_secret_value(SecretId=name)["SecretString"])
    document["issuer_at"] = f"{endpoint}/{variables['SIGN_IN_POOL_ID']}"
    manager.put_secret_value(SecretId=name, SecretString=json.dumps(document))
