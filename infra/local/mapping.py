"""Which queue feeds which function, and what runs on a schedule: read from template.yaml, as the cloud reads it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from settings import ROOT

# The reaper of the cloud comes every minute; who watches a run, or tests one, has less patience.
SECONDS_AT_MOST = 5.0
UNITS = {"minute": 60, "hour": 3600, "day": 86400}


@dataclass(frozen=True)
class QueueMapping:
    """An SQS event source. `variable` holds the queue's URL: it is the name of an output of infra/data.yaml."""

    variable: str
    function: str
    batch_size: int
    timeout_seconds: float


@dataclass(frozen=True)
class Schedule:
    """A function called every so often; `variable` overrides the seconds."""

    function: str
    variable: str
    seconds: float


class Loader(yaml.SafeLoader):
    """Drops the short tags of CloudFormation: `!GetAtt Data.Outputs.X` is read as `Data.Outputs.X`."""


def _untagged(loader: Loader, _: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return loader.construct_scalar(node)
    build = loader.construct_sequence if isinstance(node, yaml.SequenceNode) else loader.construct_mapping
    return build(node, deep=True)


Loader.add_multi_constructor("!", _untagged)


def _queues(resources: dict[str, Any]) -> Iterator[QueueMapping]:
    for source in _of_type(resources, "AWS::Lambda::EventSourceMapping").values():
        queue = re.fullmatch(r"Data\.Outputs\.(\w+)QueueArn", source["EventSourceArn"])
        function = resources[source["FunctionName"]]
        variable = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", queue[1]).upper() + "_QUEUE_URL"
        yield QueueMapping(variable, _binary(function), source["BatchSize"], function["Properties"]["Timeout"])


def _schedules(resources: dict[str, Any]) -> Iterator[Schedule]:
    for name, function in _of_type(resources, "AWS::Serverless::Function").items():
        for event in function.get("Events", {}).values():
            if event["Type"] == "Schedule":
                binary = _binary(resources[name])
                rate = re.fullmatch(r"rate\((\d+) (\w+?)s?\)", event["Properties"]["Schedule"])
                seconds = min(float(rate[1]) * UNITS[rate[2]], SECONDS_AT_MOST)
                yield Schedule(binary, f"PERSONA_{binary.removeprefix('worker-').upper()}_SECONDS", seconds)


def _of_type(resources: dict[str, Any], kind: str) -> dict[str, Any]:
    return {name: each["Properties"] for name, each in resources.items() if each["Type"] == kind}


def _binary(function: dict[str, Any]) -> str:
    return function["Metadata"]["BuildProperties"]["Binary"]


_RESOURCES = yaml.load((ROOT / "template.yaml").read_text(), Loader)["Resources"]
QUEUES = tuple(_queues(_RESOURCES))
SCHEDULES = tuple(_schedules(_RESOURCES))
