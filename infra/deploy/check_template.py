#!/usr/bin/env python3
"""Checks the translated template against the catalogue, and its policies. Prints every fault; exits 1 if there is any.

Usage: check_template.py [catalogue.json | -]

The catalogue is a JSON list of routes {"bin", "method", "path", "streaming", "environment"} and of workers
{"bin", "environment"}. Looking at the translated template matters: the translator ignores a misspelt
`ResponseTransferMode` without a word, and the linter accepts it.
"""

import json
import re
import sys

import translated

ANY = "x-amazon-apigateway-any-method"
# What every function gets, whatever it does.
COMMON_ENVIRONMENT = {"AWS_LAMBDA_HTTP_IGNORE_STAGE_IN_PATH", "PERSONA_LOG"}
# What a variable of the environment lets a function reach, as outputs of infra/data.yaml.
REACHES = {
    "WORKSPACES_TABLE": "WorkspacesTableArn",
    "PERSONAS_TABLE": "PersonasTableArn",
    "RUNS_TABLE": "RunsTableArn",
    "STEPS_QUEUE_URL": "StepsQueueArn",
    "PROVIDERS_SECRET": "ProvidersSecretArn",
    "SIGNING_SECRET": "SigningSecretArn",
}
# Managed policies of AWS that the translator adds for logs and X-Ray; the only ones allowed.
LOGS_AND_TRACES = re.compile(r"/(service-role/AWSLambdaBasicExecutionRole|AWSXrayWriteOnlyAccess)$")
SIX_TIMES = 6


def main():
    where = sys.argv[1] if len(sys.argv) > 1 else "-"
    text = sys.stdin.read() if where == "-" else open(where, encoding="utf-8").read()
    catalogue = json.loads(text)

    template = translated.source()
    binaries = translated.binaries(template)
    plain = translated.translate(template)
    resources = plain["Resources"]
    functions = {
        binary: resources[name]["Properties"] | {"LogicalId": name} for name, binary in binaries.items()
    }

    faults = [
        *check_functions(catalogue, functions),
        *check_routes(catalogue, plain, functions),
        *check_policies(resources, functions),
        *check_queue(resources, functions),
    ]
    for fault in faults:
        print(f"template.yaml: {fault}", file=sys.stderr)
    if faults:
        sys.exit(1)
    routes = sum("path" in entry for entry in catalogue)
    print(f"template.yaml: {routes} routes and {len(functions) - routes} other functions agree with the catalogue")


def check_functions(catalogue, functions):
    """A function for each binary and the other way round; environment, tracing and logs."""
    known = {entry["bin"] for entry in catalogue}
    for binary in sorted(known - set(functions)):
        yield f"no function is built from {binary}"
    for binary in sorted(set(functions) - known):
        yield f"{binary} is not in the catalogue"
    for entry in catalogue:
        function = functions.get(entry["bin"])
        if function is None:
            continue
        binary = entry["bin"]
        has = set(function["Environment"]["Variables"]) - COMMON_ENVIRONMENT
        wants = set(entry.get("environment", []))
        if has != wants:
            yield f"{binary} has the environment {sorted(has)}, the catalogue wants {sorted(wants)}"
        if COMMON_ENVIRONMENT - set(function["Environment"]["Variables"]):
            yield f"{binary} lacks one of {sorted(COMMON_ENVIRONMENT)}"
        if function.get("TracingConfig") != {"Mode": "Active"}:
            yield f"{binary} is not traced"
        if function.get("LoggingConfig", {}).get("LogGroup") != {"Ref": "Logs"}:
            yield f"{binary} does not log to the group with a retention"
        if function["Handler"] != "bootstrap" or function["Runtime"] != "provided.al2023":
            yield f"{binary} has another handler or runtime"


def check_routes(catalogue, plain, functions):
    """Method, path, function and transfer mode of each route; everything else goes to the fallback."""
    routes = {(entry["path"], entry["method"].lower()): entry for entry in catalogue if "path" in entry}
    seen = {(path, method): integration for path, method, integration in translated.operations(plain)}

    for (path, method), entry in routes.items():
        name = f"{method.upper()} {path}"
        if entry["bin"] not in functions:
            continue
        integration = seen.get((path, method))
        if integration is None:
            yield f"{name} is missing"
            continue
        uri = json.dumps(integration["uri"])
        function = functions[entry["bin"]]
        if f"${{{function['LogicalId']}.Arn}}" not in uri:
            yield f"{name} does not call {entry['bin']}: {uri}"
        streams = integration.get("responseTransferMode") == "STREAM" and "/response-streaming-invocations" in uri
        if streams != entry["streaming"]:
            yield f"{name} {'streams' if streams else 'does not stream'} its answer; the catalogue says otherwise"
        if streams and integration.get("timeoutInMillis") != function["Timeout"] * 1000:
            yield f"{name}: the gateway does not wait as long as the function may stream"
        if not streams and function["Timeout"] > 29:
            yield f"{name}: the function may take longer than the gateway waits"

    for path in {"/", "/{proxy+}"} | {path for path, _ in routes}:
        integration = seen.get((path, ANY))
        if integration is None or "${Fallback.Arn}" not in json.dumps(integration["uri"]):
            yield f"other methods of {path} do not go to the fallback"
    for path, method in seen:
        if method != ANY and (path, method) not in routes:
            yield f"{method.upper()} {path} is not in the catalogue"


def check_policies(resources, functions):
    """No scan, no wildcard; a function may reach what its environment names, and only that."""
    for binary, function in functions.items():
        role = resources[function["Role"]["Fn::GetAtt"][0]]["Properties"]
        reached = set()
        for managed in role.get("ManagedPolicyArns", []):
            if isinstance(managed, dict):
                document = resources[managed["Ref"]]["Properties"]["PolicyDocument"]
                reached |= outputs(document)
                yield from check_statements(binary, document)
            elif not LOGS_AND_TRACES.search(managed):
                yield f"{binary} has the managed policy {managed}; write its statements instead"
        for policy in role.get("Policies", []):
            reached |= outputs(policy["PolicyDocument"])
            yield from check_statements(binary, policy["PolicyDocument"])
        named = {REACHES[name] for name in function["Environment"]["Variables"] if name in REACHES}
        if named != reached:
            yield f"{binary} is told of {sorted(named)}, but allowed {sorted(reached)}"


def check_statements(binary, document):
    for statement in document["Statement"]:
        actions = as_list(statement["Action"])
        for action in actions:
            if "*" in action:
                yield f"{binary} is allowed {action}; name each action"
            if action == "dynamodb:Scan":
                yield f"{binary} may scan; nothing needs to"
        for resource in as_list(statement["Resource"]):
            if resource == "*":
                yield f"{binary} is allowed {', '.join(actions)} on every resource"


def outputs(document):
    """The outputs of the data stack that a policy names."""
    return set(re.findall(r'"Outputs\.(\w+)"', json.dumps(document)))


def check_queue(resources, functions):
    """What makes deliveries safe: one step a message, partial failures, a visibility that outlasts the worker."""
    from samtranslator.yaml_helper import yaml_parse

    data = yaml_parse((translated.PROJECT / "infra/data.yaml").read_text(encoding="utf-8"))
    sources = [r["Properties"] for r in resources.values() if r["Type"] == "AWS::Lambda::EventSourceMapping"]
    if len(sources) != 1:
        yield f"{len(sources)} event sources instead of one"
    for source in sources:
        if source.get("FunctionResponseTypes") != ["ReportBatchItemFailures"] or source.get("BatchSize") != 1:
            yield "the steps queue must deliver one message at a time and take partial failures"
    visibility = data["Resources"]["StepsQueue"]["Properties"]["VisibilityTimeout"]
    worker = functions.get("worker-steps", {}).get("Timeout", 0)
    if visibility < SIX_TIMES * worker:
        yield f"the queue's visibility timeout of {visibility} s is under {SIX_TIMES} times the worker's {worker} s"


def as_list(value):
    return value if isinstance(value, list) else [value]


if __name__ == "__main__":
    main()
