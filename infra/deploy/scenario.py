"""What is asked of the deployed system: every route at least once, and each thing that a role allows."""

import json
import time
import urllib.error
import urllib.request

import signing_in
from emulator import SmokeError, wait_for

INTENT = "A 54-year-old chef from New York who is a social media influencer"
SLUG = "keeper-of-the-light"
# A streamed answer is this prelude of JSON (status, headers), eight zero bytes, then the body.
PRELUDE_END = b"\0" * 8
RUN_SECONDS = 120
# A lease of 30 s must lapse, then the reaper's minute come round, then the run go on.
REVIVAL_SECONDS = 180
# Four leases, then the reaper's minute, then an attempt; counted from the end of the rest, so it is less by then.
SWEEP_SECONDS = 240
# Where nobody answers.
HOOK = "https://hooks.example.com/persona"
CARD = {"spec": "chara_card_v2", "spec_version": "2.0", "data": {"name": "Pip"}}


def play(emulator, outputs, say):
    base = f"{emulator.url}/_aws/execute-api/{outputs['ApiId']}/api"
    api = Api(base, create_workspace(emulator, outputs, "test"))
    live = Api(base, create_workspace(emulator, outputs, "live"))
    say("made a workspace in test mode and one in live mode through the administrator's function")
    # What is spent from here on is counted in its month, too.
    expect(live.call("PATCH", "/v1/workspace", {"monthly_budget_usd": 100}), 200)
    check_fallback(api)
    say("answered: workspace, unknown path, wrong method, wrong key, preflight")
    lost = lose_first_message(emulator, outputs, api)
    say(f"{lost} lost its first message; the reaper will have to see")
    hook = lose_event_and_delivery(emulator, outputs, api)
    say(f"{hook} lost the messages of an event and of a delivery; the reaper will have to see")
    persona = check_polled_form(api, say)
    check_streamed_form(api, say)
    check_waiting_form(live, say)
    other = check_streamed_form(live, say)
    check_conversation(live, say)
    check_openai(live, other, say)
    check_mcp(live, other, say)
    check_marketplace(live, Api(base, create_workspace(emulator, outputs, "live")), other, say)
    check_lists(api, persona, say)
    check_editing(api, say)
    check_account(api, say)
    check_fields(api, say)
    check_pipelines(api, say)
    check_endings(api, live, say)
    check_webhooks(api, say)
    check_signing_in(emulator, outputs, Api(base, create_workspace(emulator, outputs, "test")), say)
    forge_messages(emulator, outputs)
    path = f"/v1/personas/{persona['id']}"
    expect(api.call("DELETE", path), 200, 204)
    expect(api.call("GET", path), 404, "resource.not_found")
    say(f"deleted {persona['id']}")
    wait_for_end(api, lost, "completed", REVIVAL_SECONDS)
    say(f"{lost} completed: the schedule called the reaper, which sent the step again")
    wait_for("both deliveries to be tried", SWEEP_SECONDS, lambda: attempts(api, hook)[-2:] == [True, True])
    say(f"{hook} was called for both: the reaper sent the event and the delivery again")


def create_workspace(emulator, outputs, mode):
    """Through the administrator's function, as docs/DEPLOYING.md does it; returns the key."""
    function = outputs["CreateWorkspaceFunction"]

    def made(payload):
        answer = emulator.client("lambda").invoke(FunctionName=function, Payload=json.dumps(payload))
        body = json.loads(answer["Payload"].read())
        if answer.get("FunctionError") or not body.get("key", {}).get("secret", "").startswith(f"pk_{mode}_"):
            raise SmokeError(f"{function} answered {body}")
        return body

    workspace = made({"name": "smoke", "plan": "team", "mode": mode})["workspace"]["id"]
    scopes = ["read", "write", "chat", "admin"]
    return made({"workspace_id": workspace, "key": {"name": "another", "scopes": scopes}})["key"]["secret"]


def check_fallback(api):
    """The gateway sends what no route answers to the fallback, which speaks the contract."""
    expect(api.call("GET", "/v1/workspace"), 200)
    expect(api.call("GET", "/v1/nowhere"), 404, "resource.not_found")
    expect(api.call("PUT", "/v1/personas"), 405, "request.method_not_allowed")
    expect(api.call("GET", "/v1/personas", key="pk_test_wrong"), 401, "auth.invalid_key")
    preflight = api.call("OPTIONS", "/v1/personas", headers={"Origin": "https://app.example"})
    if preflight.headers.get("access-control-allow-origin") != "*":
        raise SmokeError(f"OPTIONS /v1/personas allows no origin: {preflight.headers}")


def lose_first_message(emulator, outputs, api):
    """A run whose first message never arrives, as if the sender had died before it sent."""
    run, message = lose_message(emulator, outputs["StepsQueueUrl"], lambda: begin(api, {"intent": INTENT}))
    if message["run"] != run:
        raise SmokeError(f"the queue has {message}, not the first step of {run}")
    return run


def lose_event_and_delivery(emulator, outputs, api):
    """A webhook, an event whose message never arrives, and a delivery that has none either."""
    hook = new_webhook(api, "persona.created")
    path = f"/v1/webhooks/{hook}"
    made = lose_message(emulator, outputs["EventsQueueUrl"], lambda: api.call("POST", "/v1/personas/import", CARD))
    expect(made[0], 201)
    sent = lose_message(emulator, outputs["DeliveriesQueueUrl"], lambda: api.call("POST", f"{path}/test"))
    if expect(sent[0], 201).json()["id"] != sent[1]["delivery"]:
        raise SmokeError(f"the queue has {sent[1]}, not {sent[0].body}")
    return hook


def lose_message(emulator, url, cause):
    """Does what sends one message, and takes that off the queue before a worker can. What was done, and the message."""
    functions, queue = emulator.client("lambda"), emulator.client("sqs")
    name = url.rpartition("/")[2]
    sources = functions.list_event_source_mappings()["EventSourceMappings"]
    (source,) = (each for each in sources if each["EventSourceArn"].endswith(f":{name}"))
    functions.update_event_source_mapping(UUID=source["UUID"], Enabled=False)
    done = cause()
    received = queue.receive_message(QueueUrl=url, WaitTimeSeconds=10).get("Messages", [])
    if len(received) != 1:
        raise SmokeError(f"{name} has {received}, not one message")
    queue.delete_message(QueueUrl=url, ReceiptHandle=received[0]["ReceiptHandle"])
    functions.update_event_source_mapping(UUID=source["UUID"], Enabled=True)
    return done, json.loads(received[0]["Body"])


def forge_messages(emulator, outputs):
    """One on each queue that the system did not send: workers hurry it back, until the dead-letter queue takes it."""
    for queue in ("StepsQueueUrl", "EventsQueueUrl", "DeliveriesQueueUrl"):
        emulator.client("sqs").send_message(QueueUrl=outputs[queue], MessageBody='{"forged": true}')


def check_polled_form(api, say):
    """A run without waiting, polled to its end; the queue's event source runs the steps."""
    begun = time.monotonic()
    run = begin(api, {"intent": INTENT})
    result = wait_for_end(api, run, "completed")
    say(f"{run} completed in {time.monotonic() - begun:.1f} s: {', '.join(step['name'] for step in result['steps'])}")
    events = events_of(api, run)
    if [event["id"] for event in events] != list(range(1, len(events) + 1)):
        raise SmokeError(f"the log of {run} has gaps")
    persona = expect(api.call("GET", f"/v1/personas/{events[-1]['data']['persona_id']}"), 200).json()
    for layer in ("identity", "soul", "voice"):
        if not persona.get(layer):
            raise SmokeError(f"{persona['id']} has no {layer}")
    if persona["lineage"]["run_id"] != run:
        raise SmokeError(f"{persona['id']} names the run {persona['lineage']['run_id']}")
    say(f"{persona['id']} is {persona['identity']['name']}: {persona['soul']['core_desire']}")
    return persona


def check_streamed_form(api, say):
    """The same as server-sent events: the emulator hands the whole stream over at its end."""
    answer = expect(api.call("POST", "/v1/personas?stream=true", {"intent": INTENT}), 200)
    kind = answer.headers.get("content-type", "")
    names = [line[7:] for line in answer.body.decode().splitlines() if line.startswith("event: ")]
    if not kind.startswith("text/event-stream") or names[:1] != ["run.started"] or names[-1:] != ["run.completed"]:
        raise SmokeError(f"the stream is {kind} with {names}")
    say(f"streamed {len(names)} events, {names.count('layer.delta')} of them layer.delta")
    return json.loads(answer.body.decode().rsplit("data: ", 1)[1])["persona_id"]


def check_waiting_form(live, say):
    """Waiting, in live mode: the worker reads the providers secret, which names the sandbox until somebody fills it."""
    answer = expect(live.call("POST", "/v1/personas", {"intent": INTENT, "slug": SLUG}, {"Prefer": "wait=60"}), 201)
    persona = expect(live.call("GET", f"/v1/personas/{SLUG}"), 200).json()
    if persona != answer.json():
        raise SmokeError(f"{persona['id']} is not what its creation answered")
    say(f"waited for {persona['id']} in live mode, read it as {SLUG}")


def check_conversation(live, say):
    """Two conversations with the persona that the waiting form made: pages, turns in both forms, drift, the end."""
    path = "/v1/chat/conversations"
    tools = expect(live.call("GET", "/v1/tools"), 200).json()["data"]
    first, second = (expect(live.call("POST", path, {"persona_id": SLUG}), 201).json() for _ in range(2))
    page = expect(live.call("GET", f"{path}?limit=1"), 200).json()
    rest = expect(live.call("GET", f"{path}?limit=1&cursor={page['next_cursor']}"), 200).json()
    if [page["data"], rest["data"]] != [[second], [first]]:
        raise SmokeError(f"the pages of {path} are {page} and {rest}")
    one = f"{path}/{first['id']}"
    # The other API speaks first: whoever answers next has not met the persona, and finds messages before its own.
    complete(live, SLUG, "Good morning", first["id"])
    turn = expect(live.call("POST", f"{one}/messages", {"message": "Good evening", "persona_id": SLUG}), 200).json()
    body = {"message": "And what do you fear?", "stream": True}
    streamed = expect(live.call("POST", f"{one}/messages", body), 200).body.decode()
    if "event: message.delta" not in streamed or "event: run.completed" not in streamed:
        raise SmokeError(f"the streamed turn was {streamed}")
    for mode in ("exact", "fresh"):
        replay = expect(live.call("POST", f"/v1/runs/{turn['run_id']}/replay", {"mode": mode}), 201).json()
        if replay["status"] != "completed" or replay["replay"]["matches"] is (mode == "fresh"):
            raise SmokeError(f"the {mode} replay of {turn['run_id']} is {replay}")
    kept = expect(live.call("GET", f"{one}/messages?limit=3"), 200).json()
    last = expect(live.call("GET", f"{one}/messages?cursor={kept['next_cursor']}"), 200).json()
    kept = kept["data"] + last["data"]
    if len(kept) != 6 or turn["content"] not in [message["content"] for message in kept]:
        raise SmokeError(f"the transcript of {first['id']} is {kept}")
    series = expect(live.call("GET", f"{one}/drift?limit=1"), 200).json()
    expect(live.call("GET", f"{one}/drift?cursor={series['next_cursor']}"), 200)
    if expect(live.call("GET", one), 200).json()["turns"] != 3:
        raise SmokeError(f"{first['id']} has not counted its three turns")
    expect(live.call("DELETE", one), 200)
    expect(live.call("GET", one), 404, "resource.not_found")
    say(f"talked with {SLUG} in {first['id']}, drift {turn['drift']['verdict']}, {len(tools)} tools; deleted it")


def check_openai(live, persona, say):
    """Models, embeddings, completions alone and in a conversation that the other API has begun."""
    conversation = expect(live.call("POST", "/v1/chat/conversations", {"persona_id": persona}), 201).json()["id"]
    expect(live.call("POST", f"/v1/chat/conversations/{conversation}/messages", {"message": "Good evening"}), 200)
    for message in ("And what do you fear?", "And at night?"):
        answer = complete(live, persona, message, conversation)
    alone = complete(live, SLUG, "Good evening")
    models = [model["id"] for model in expect(live.call("GET", "/v1/openai/models"), 200).json()["data"]]
    expect(live.call("GET", f"/v1/openai/models/{persona}"), 200)
    expect(live.call("GET", f"/v1/openai/models/{SLUG}"), 200)
    expect(live.call("GET", f"/v1/openai/models/{models[-1]}"), 200)
    vectors = {"model": models[-1], "input": "Good evening"}
    dimensions = len(expect(live.call("POST", "/v1/openai/embeddings", vectors), 200).json()["data"][0]["embedding"])
    said = answer["choices"][0]["message"]["content"], alone["choices"][0]["message"]["content"]
    if SLUG not in models or not all(said):
        raise SmokeError(f"{models} were listed, and {said} was said")
    say(f"{len(models)} models by OpenAI's routes, completions alone and in {conversation}, {dimensions} dimensions")


def complete(live, model, message, conversation=None):
    """A completion, alone or in a conversation."""
    body = {"model": model, "messages": [{"role": "user", "content": message}]}
    headers = {"X-Persona-Conversation-Id": conversation} if conversation else {}
    return expect(live.call("POST", "/v1/openai/chat/completions", body, headers), 200).json()


def check_mcp(live, persona, say):
    """Personas as tools, prompts and resources: talked with, made, read, and listed page by page."""
    conversation = expect(live.call("POST", "/v1/chat/conversations", {"persona_id": persona}), 201).json()["id"]
    expect(live.call("POST", f"/v1/chat/conversations/{conversation}/messages", {"message": "Good evening"}), 200)
    # The function has not met the persona, and finds messages before its own.
    for message in ("And what do you fear?", "And at night?"):
        call_tool(live, f"chat_with_{persona}", {"message": message, "conversation_id": conversation})
    call_tool(live, f"chat_with_{SLUG}", {"message": "Good evening"})
    made = call_tool(live, "create_persona", {"intent": INTENT, "seed": 11, "slug": "made-by-a-tool"})["persona"]
    said = call_tool(live, made["tool"], {"message": "Good evening"})
    for version in ({}, {"version": 1}):
        call_tool(live, "get_persona", {"persona": made["id"]} | version)
    page = call_tool(live, "list_personas", {"limit": 1})
    call_tool(live, "list_personas", {"limit": 1, "cursor": page["next_cursor"]})
    names = [tool["name"] for tool in ask(live, "tools/list", {})["tools"]]
    prompt = ask(live, "prompts/get", {"name": made["slug"]})["messages"][0]["content"]["text"]
    text = ask(live, "resources/read", {"uri": made["resource"]})["contents"][0]["text"]
    if made["tool"] not in names or not said["content"] or made["name"] not in prompt or made["id"] not in text:
        raise SmokeError(f"the tools are {names}, {said} was said, by {prompt[:200]!r}, of {text[:200]!r}")
    expect(live.call("DELETE", f"/v1/personas/{made['id']}"), 200)
    say(f"{len(names)} tools over MCP: {made['id']} was made by one, and {said['content'][:40]!r} said by another")


def ask(live, method, params):
    """The result of a method of the Model Context Protocol, whole or the last message of a stream."""
    accept = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-11-25"}
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    body = expect(live.call("POST", "/v1/mcp", message, accept), 200).body.decode()
    lines = [line.removeprefix("data:") for line in body.splitlines() if line.startswith("data:")]
    answer = json.loads(lines[-1] if lines else body)
    if "result" not in answer:
        raise SmokeError(f"{method} {params} was answered {answer}")
    return answer["result"]


def call_tool(live, name, arguments):
    """What a tool made."""
    return ask(live, "tools/call", {"name": name, "arguments": arguments})["structuredContent"]


def check_marketplace(live, stranger, other, say):
    """Two personas published, found by another workspace page by page, installed, and taken off in each way."""
    path = "/v1/marketplace/personas"
    for persona in (SLUG, other):
        expect(live.call("PATCH", f"/v1/personas/{persona}", {"visibility": "public"}), 200)
    first, second = (expect(live.call("POST", f"/v1/personas/{name}/publish"), 201).json() for name in (SLUG, other))
    body = {"title": "Keeper of the Light", "tags": ["sea"]}
    expect(live.call("POST", f"/v1/personas/{SLUG}/publish", body), 200)
    page = expect(stranger.call("GET", f"{path}?limit=1&sort=newest"), 200).json()
    rest = expect(stranger.call("GET", f"{path}?limit=1&sort=newest&cursor={page['next_cursor']}"), 200).json()
    found = expect(stranger.call("GET", f"{path}?q=keeper+light&tag=sea"), 200).json()["data"]
    found += call_tool(stranger, "search_marketplace", {"q": "keeper light", "tag": "sea"})["listings"]
    ids = [listing["id"] for listing in page["data"] + rest["data"] + found]
    if ids != [second["id"], first["id"], first["id"], first["id"]]:
        raise SmokeError(f"{path} found {ids}, not {second['id']} and {first['id']}")
    seen = expect(stranger.call("GET", f"{path}/{first['id']}"), 200).json()
    copy = expect(stranger.call("POST", f"{path}/{first['id']}/install"), 201).json()
    if copy["soul"] != seen["persona"]["soul"] or copy["lineage"]["forked_from"]["listing_id"] != first["id"]:
        raise SmokeError(f"the copy of {first['id']} is {copy}")
    expect(live.call("DELETE", f"{path}/{first['id']}"), 200)
    expect(stranger.call("GET", f"{path}/{first['id']}"), 404, "resource.not_found")
    expect(live.call("POST", f"/v1/personas/{other}/unpublish"), 200)
    last = expect(live.call("POST", f"/v1/personas/{other}/publish"), 201).json()
    expect(live.call("DELETE", f"/v1/personas/{other}"), 200)
    expect(stranger.call("GET", f"{path}/{last['id']}"), 404, "resource.not_found")
    say(f"published {first['id']} and {second['id']}, installed {copy['id']} from another workspace, took both off")


def check_lists(api, persona, say):
    """Lists by pages, whose cursors are signed; and the routes that repeat and compare runs."""
    for path in ("/v1/personas", "/v1/runs"):
        first = expect(api.call("GET", f"{path}?limit=1"), 200).json()
        second = expect(api.call("GET", f"{path}?limit=1&cursor={first['next_cursor']}"), 200).json()
        if not first["data"][0]["id"] > second["data"][0]["id"]:
            raise SmokeError(f"the pages of {path} are {first} and {second}")
    cursor = expect(api.call("GET", "/v1/pipelines?limit=1"), 200).json()["next_cursor"]
    expect(api.call("GET", f"/v1/pipelines?limit=1&cursor={cursor}"), 200)
    expect(api.call("GET", "/v1/pipelines/default"), 200)
    run = persona["lineage"]["run_id"]
    replay = expect(api.call("POST", f"/v1/runs/{run}/replay", {"mode": "exact"}), 201, 202).json()["id"]
    wait_for_end(api, replay, "completed")
    if not expect(api.call("GET", f"/v1/runs/{replay}/diff"), 200).json()["identical"]:
        raise SmokeError(f"{replay}, the replay of {run}, made something else")
    expect(api.call("POST", f"/v1/runs/{run}/cancel"), 409, "run.not_cancellable")
    say(f"paged through the lists, replayed {run} exactly as {replay}")


def check_editing(api, say):
    """A persona edited in each way, its versions page by page, and out and in again as a card."""
    created = expect(api.call("POST", "/v1/personas", {"intent": INTENT, "slug": "edited"}, {"Prefer": "wait=60"}), 201)
    path = f"/v1/personas/{created.json()['id']}"
    edited = expect(api.call("PATCH", path, {"slug": "edited-once"}), 200).json()
    expect(api.call("PUT", path, edited | {"slug": "edited-twice"}), 200)
    refined = api.call(
        "POST", "/v1/personas/edited-twice/refine", {"instruction": "make her older"}, {"Prefer": "wait=60"}
    )
    if expect(refined, 200, 201).json()["slug"] != "edited-twice":
        raise SmokeError(f"the refinement of {path} made {refined.body!r}")
    first = expect(api.call("GET", "/v1/personas/edited-twice/versions?limit=2"), 200).json()
    second = expect(api.call("GET", f"{path}/versions?limit=2&cursor={first['next_cursor']}"), 200).json()
    versions = [version["version"] for version in first["data"] + second["data"]]
    if versions != [4, 3, 2, 1]:
        raise SmokeError(f"the versions of {path} are {versions}")
    before = expect(api.call("GET", f"{path}?version=1"), 200).json()
    exported = expect(api.call("GET", f"{path}/export?format=card_v3&version=1"), 200).json()
    if before["slug"] != "edited" or exported["data"]["name"] != before["identity"]["name"]:
        raise SmokeError(f"version 1 of {path} is {before} and leaves as {exported}")
    card = expect(api.call("GET", "/v1/personas/edited-twice/export?format=card_v2"), 200).json()
    copy = expect(api.call("POST", "/v1/personas/import", card), 201).json()
    expect(api.call("DELETE", f"/v1/personas/{copy['slug']}"), 200, 204)
    expect(api.call("DELETE", path), 200, 204)
    say(f"edited {path} to version 4, took it out and in again as {copy['id']}, deleted both")


def check_account(api, say):
    """The workspace changed, its keys made, rotated and revoked, what it has used; and a call that is sent twice."""
    keys = "/v1/keys"
    once = {"Idempotency-Key": "smoke-1"}
    first, second = (expect(api.call("POST", keys, {"name": "a", "scopes": ["read"]}, once), 201) for _ in range(2))
    if first.json()["id"] != second.json()["id"] or second.headers.get("idempotent-replayed") != "true":
        raise SmokeError(f"one Idempotency-Key made {first.body!r} and {second.body!r}")
    new = expect(api.call("POST", f"{keys}/{first.json()['id']}/rotate", {"grace_seconds": 60}), 201).json()
    expect(api.call("GET", "/v1/workspace", key=new["secret"]), 200)
    expect(api.call("DELETE", f"{keys}/{new['id']}"), 200)
    expect(api.call("GET", "/v1/workspace", key=new["secret"]), 401, "auth.invalid_key")
    # The reaper tells of it: it ends within 14 days.
    expect(api.call("POST", keys, {"name": "short", "scopes": ["read"], "expires_in_days": 7}), 201)
    page = expect(api.call("GET", f"{keys}?limit=1"), 200).json()
    expect(api.call("GET", f"{keys}?limit=1&cursor={page['next_cursor']}"), 200)
    expect(api.call("PATCH", "/v1/workspace", {"name": "smoked", "monthly_budget_usd": 100}), 200)
    expect(api.call("PATCH", "/v1/workspace", {"monthly_budget_usd": None}), 200)
    used = expect(api.call("GET", "/v1/usage?group_by=kind"), 200).json()["total"]
    if used["runs"] < 3:
        raise SmokeError(f"the workspace has used {used}")
    say(f"made, rotated and revoked {new['id']}; the workspace has used {used['runs']} runs")


def check_fields(api, say):
    """Custom fields: given, filled, edited, imported, repeated, given back by runs that end without a persona."""
    path = "/v1/schema/fields"
    expect(api.call("POST", path, {"name": "house", "type": "string", "required": True}), 201)
    expect(api.call("POST", "/v1/personas", {"intent": INTENT}), 400, "request.invalid")
    expect(api.call("POST", path, {"name": "house", "type": "string"}), 200)
    motto = {"name": "motto", "type": "string", "schema": {"maxLength": 80}, "generate": True}
    expect(api.call("POST", path, motto), 201)
    page = expect(api.call("GET", f"{path}?limit=1"), 200).json()
    rest = expect(api.call("GET", f"{path}?limit=1&cursor={page['next_cursor']}"), 200).json()
    if [field["name"] for field in page["data"] + rest["data"]] != ["house", "motto"]:
        raise SmokeError(f"the fields are {page} and {rest}")
    given = {"intent": INTENT, "custom_fields": {"house": "lion"}}
    made = expect(api.call("POST", "/v1/personas", given, {"Prefer": "wait=60"}), 201).json()
    if made["custom_fields"]["house"] != "lion" or not made["custom_fields"]["motto"]:
        raise SmokeError(f"{made['id']} has {made['custom_fields']}")
    one = f"/v1/personas/{made['id']}"
    edited = expect(api.call("PATCH", one, {"custom_fields": {"house": None}}), 200).json()
    edited["custom_fields"] = {"house": "snake"}
    edited = expect(api.call("PUT", one, edited), 200).json()
    expect(api.call("DELETE", f"{path}/house"), 409, "schema.field_in_use")
    copy = expect(api.call("POST", "/v1/personas/import", edited), 201).json()
    again = api.call("POST", f"/v1/runs/{made['lineage']['run_id']}/replay", {"mode": "fresh"})
    again = wait_for_end(api, expect(again, 201, 202).json()["id"], "completed")["output_ref"]["id"]
    slow = begin(api, given | {"intent": f"{INTENT} [[trigger:slow]]"})
    expect(api.call("POST", f"/v1/runs/{slow}/cancel"), 200)
    wait_for_end(api, begin(api, given | {"intent": f"{INTENT} [[trigger:moderation_block]]"}), "failed")
    by_tool = call_tool(api, "create_persona", given)["persona"]["id"]
    for persona in (made["id"], copy["id"], again, by_tool):
        expect(api.call("DELETE", f"/v1/personas/{persona}"), 200)
    for name in ("house", "motto"):
        expect(api.call("DELETE", f"{path}/{name}"), 200)
    say(f"{made['id']} had {made['custom_fields']}; edited, imported, repeated and deleted, its fields after it")


def check_pipelines(api, say):
    """A pipeline of the workspace's own, followed by a run and by another's repetition."""
    path = "/v1/pipelines/considered"
    definition = expect(api.call("GET", "/v1/pipelines/fast"), 200).json()
    definition = {key: definition[key] for key in ("description", "steps")}
    expect(api.call("PUT", path, definition), 201)
    names = [pipeline["name"] for pipeline in expect(api.call("GET", "/v1/pipelines"), 200).json()["data"]]
    if names[-1:] != ["considered"] or expect(api.call("GET", path), 200).json()["built_in"]:
        raise SmokeError(f"the pipelines are {names}")
    followed = begin(api, {"intent": INTENT, "pipeline": "considered"})
    followed = wait_for_end(api, followed, "completed")
    other = wait_for_end(api, begin(api, {"intent": INTENT, "pipeline": "fast"}), "completed")
    overrides = {"mode": "fresh", "overrides": {"pipeline": "considered"}}
    again = expect(api.call("POST", f"/v1/runs/{other['id']}/replay", overrides), 201, 202).json()
    wait_for_end(api, again["id"], "completed")
    call_tool(api, "create_persona", {"intent": INTENT, "pipeline": "considered"})
    refine = f"/v1/personas/{followed['output_ref']['id']}/refine"
    strange = {"instruction": "make her older", "pipeline": "considered"}
    expect(api.call("POST", refine, strange), 400, "request.invalid")
    expect(api.call("DELETE", path), 200)
    exact = api.call("POST", f"/v1/runs/{followed['id']}/replay", {"mode": "exact"})
    exact = wait_for_end(api, expect(exact, 201, 202).json()["id"], "completed")
    if exact["replay"]["matches"] is not True:
        raise SmokeError(f"the replay of {followed['id']} is {exact}")
    say(f"{followed['id']} followed a pipeline of the workspace's own, and was replayed after its deletion")


def check_endings(api, live, say):
    """A cancelled run and a failed one each give their slug back."""
    slow = begin(api, {"intent": f"{INTENT} [[trigger:slow]]", "slug": SLUG})
    # Several fields by now: whoever ends the log has to look where it ends.
    wait_for("some fields", RUN_SECONDS, lambda: count_of(events_of(api, slow), "layer.delta") > 3)
    expect(api.call("POST", f"/v1/runs/{slow}/cancel"), 200)
    blocked = begin(api, {"intent": f"{INTENT} [[trigger:moderation_block]]", "slug": SLUG})
    error = wait_for_end(api, blocked, "failed")["error"]
    if error["code"] != "moderation.intent_blocked":
        raise SmokeError(f"{blocked} failed with {error}")
    again = begin(api, {"intent": INTENT, "slug": SLUG})
    expect(api.call("POST", f"/v1/runs/{again}/cancel"), 200)
    budgeted = begin(live, {"intent": f"{INTENT} [[trigger:slow]]"})
    expect(live.call("POST", f"/v1/runs/{budgeted}/cancel"), 200)
    say(f"cancelled {slow} and {budgeted}, blocked {blocked}; their slug is free again")


def new_webhook(api, kind):
    """A webhook's id."""
    made = expect(api.call("POST", "/v1/webhooks", {"url": HOOK, "events": [kind]}), 201).json()
    if not made["secret"].startswith("whsec_"):
        raise SmokeError(f"a webhook without a secret: {made}")
    return made["id"]


def attempts(api, hook):
    """Of each delivery of a webhook, the newest first, whether it was tried."""
    deliveries = expect(api.call("GET", f"/v1/webhooks/{hook}/deliveries?limit=100"), 200).json()["data"]
    return [len(delivery["attempts"]) > 0 for delivery in deliveries]


def check_webhooks(api, say):
    """Every route of a webhook; a delivery that nobody takes, and that is tried again."""
    first, second = (new_webhook(api, "persona.updated") for _ in range(2))
    page = expect(api.call("GET", "/v1/webhooks?limit=1"), 200).json()
    rest = expect(api.call("GET", f"/v1/webhooks?limit=1&cursor={page['next_cursor']}"), 200).json()
    if [each["id"] for each in page["data"] + rest["data"]] != [second, first]:
        raise SmokeError(f"the pages of webhooks are {page} and {rest}")
    path = f"/v1/webhooks/{first}"
    expect(api.call("PATCH", path, {"description": "smoke"}), 200)
    if expect(api.call("GET", path), 200).json()["description"] != "smoke":
        raise SmokeError(f"{path} has not kept its description")
    expect(api.call("POST", f"{path}/rotate-secret", {"grace_seconds": 60}), 200)
    sent = expect(api.call("POST", f"{path}/test"), 201).json()["id"]
    expect(api.call("POST", f"{path}/deliveries/{sent}/redeliver"), 201)
    page = expect(api.call("GET", f"{path}/deliveries?limit=1"), 200).json()

    def oldest():
        cursor = page["next_cursor"]
        return expect(api.call("GET", f"{path}/deliveries?limit=1&cursor={cursor}"), 200).json()["data"][0]

    wait_for(f"{sent} to be tried twice", RUN_SECONDS, lambda: len(oldest()["attempts"]) > 1)
    delivery = oldest()
    if delivery["id"] != sent or delivery["status"] != "pending":
        raise SmokeError(f"{sent}, which nobody takes, is {delivery}")
    expect(api.call("DELETE", path), 200)
    expect(api.call("GET", path), 404, "resource.not_found")
    expect(api.call("DELETE", f"/v1/webhooks/{second}"), 200)
    say(f"made {first}, tried {sent} twice ({delivery['attempts'][0]['error']}), deleted it")


def check_signing_in(emulator, outputs, api, say):
    """Somebody becomes a member, signs in on a device and with a browser, gets keys, loses one, is a member no more."""
    account = signing_in.prepare(emulator, outputs, api.base)
    workspace = expect(api.call("GET", "/v1/workspace"), 200).json()["id"]
    expect(api.call("GET", "/v1/auth/metadata"), 200)
    administrate(
        emulator, outputs, {"workspace_id": workspace, "set": [{"email": signing_in.EMAIL, "scopes": ["read"]}]}
    )
    first = signing_in.with_device(api.base, account)
    expect(api.call("GET", "/v1/workspace", key=first["access_token"]), 200)
    while (made := api.call("POST", "/v1/keys", {"name": "one more", "scopes": ["read"]})).status == 201:
        pass
    expect(made, 400, "request.invalid")
    # The workspace is full: the person's older key gives its place.
    second = signing_in.with_browser(api.base, account)
    expect(api.call("GET", "/v1/workspace", key=first["access_token"]), 401, "auth.invalid_key")
    expect(api.call("GET", "/v1/workspace", key=second["access_token"]), 200)
    signing_in.post(api.base, "revoke", token=second["access_token"])
    expect(api.call("GET", "/v1/workspace", key=second["access_token"]), 401, "auth.invalid_key")
    third = signing_in.with_browser(api.base, account)
    left = administrate(emulator, outputs, {"workspace_id": workspace, "remove": [signing_in.EMAIL]})["members"]
    expect(api.call("GET", "/v1/workspace", key=third["access_token"]), 401, "auth.invalid_key")
    say(f"signed in to {workspace} on a device and with a browser, logged out, left it; {len(left)} members")


def administrate(emulator, outputs, payload):
    """Changes who is a member, as docs/SIGNING_IN.md does it."""
    answer = emulator.client("lambda").invoke(FunctionName=outputs["MembersFunction"], Payload=json.dumps(payload))
    body = json.loads(answer["Payload"].read())
    if answer.get("FunctionError"):
        raise SmokeError(f"{outputs['MembersFunction']} answered {body}")
    return body


def begin(api, body):
    """A run's id."""
    return expect(api.call("POST", "/v1/personas", body, {"Prefer": "respond-async"}), 202).json()["id"]


def events_of(api, run):
    """The whole log, page by page."""
    path, events, cursor = f"/v1/runs/{run}/events?limit=50", [], ""
    while True:
        page = expect(api.call("GET", path + cursor), 200).json()
        events += page["data"]
        if not page["has_more"]:
            return events
        cursor = f"&cursor={page['next_cursor']}"


def count_of(events, name):
    return sum(event["event"] == name for event in events)


def wait_for_end(api, run, status, seconds=RUN_SECONDS):
    """The run, which must end with that status."""
    latest = {}

    def ended():
        latest.update(expect(api.call("GET", f"/v1/runs/{run}"), 200).json())
        return latest["status"] not in ("queued", "running")

    wait_for(f"{run} to end", seconds, ended)
    if latest["status"] != status:
        raise SmokeError(f"{run} is {latest['status']}, not {status}: {latest.get('error')}")
    return latest


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
            headers={"Authorization": f"Bearer {key or self.key}", "Content-Type": "application/json"}
            | (headers or {}),
        )
        try:
            with urllib.request.urlopen(request, timeout=RUN_SECONDS) as answer:
                return Answer(f"{method} {path}", answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as answer:
            return Answer(f"{method} {path}", answer.code, answer.headers, answer.read())
        except OSError as error:
            raise SmokeError(f"{method} {path}: {error}") from error


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


def expect(answer, *wanted):
    """The answer, if it has one of the statuses and the error code in `wanted`."""
    statuses = [value for value in wanted if isinstance(value, int)]
    codes = [value for value in wanted if isinstance(value, str)]
    if answer.status not in statuses:
        raise SmokeError(f"{answer.name}: {answer.status} instead of {statuses}: {answer.body[:500]!r}")
    if codes and answer.json()["error"]["code"] not in codes:
        raise SmokeError(f"{answer.name}: {answer.body[:500]!r} instead of {codes}")
    return answer
