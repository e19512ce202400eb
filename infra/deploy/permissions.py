"""What the deployed roles allow, against what the functions did: least privilege, measured."""

# Lambda itself takes messages off the queue in the function's name; the emulator's event source asks nobody.
BY_THE_EVENT_SOURCE = {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}
# The emulator takes a batch for an action of its own; for the cloud it is the sending of its messages.
SPELLINGS = {"sqs:SendMessageBatch": "sqs:SendMessage"}


def allowed(plain, binaries):
    """(binary, action, resource) of every statement on a resource of infra/data.yaml, as its output is called."""
    for logical_id, binary in binaries.items():
        resources = plain["Resources"]
        role = resources[resources[logical_id]["Properties"]["Role"]["Fn::GetAtt"][0]]["Properties"]
        shared = [resources[arn["Ref"]]["Properties"] for arn in role["ManagedPolicyArns"] if isinstance(arn, dict)]
        for policy in shared + role.get("Policies", []):
            for statement in policy["PolicyDocument"]["Statement"]:
                resource = _output(statement["Resource"])
                if resource:
                    yield from ((binary, SPELLINGS.get(action, action), resource) for action in statement["Action"])


def _output(resource):
    """`RunsTableArn`, or `RunsTableArn/index/active`; None for what infra/data.yaml does not have, such as models."""
    match resource:
        case {"Fn::GetAtt": ["Data", output]}:
            return output.removeprefix("Outputs.")
        case {"Fn::Sub": [path, {"Table": table}]}:
            return path.replace("${Table}", _output(table))
    return None


def used(decisions, roles, outputs):
    """The same triples of what happened. `roles`: role name to binary; `outputs`: output to value."""
    names = {value: name for name, value in outputs.items() if name.endswith("Arn")}
    for decision, principal, action, resource in decisions:
        role = next((part for part in principal.split("/") if part in roles), None)
        known = next((arn for arn in names if resource == arn or resource.startswith(f"{arn}/index/")), None)
        if decision == "allowed" and role and known:
            yield roles[role], SPELLINGS.get(action, action), names[known] + resource.removeprefix(known)


def faults(allowed, decisions, roles, outputs):
    """Sentences about each call that was refused and each permission that no function needed."""
    for decision, principal, action, resource in decisions:
        if decision == "refused":
            yield f"{principal} was refused {action} on {resource}"
    for binary, action, resource in sorted(set(allowed) - set(used(decisions, roles, outputs))):
        if action not in BY_THE_EVENT_SOURCE:
            yield f"{binary} may {action} on {resource}, and never did"
