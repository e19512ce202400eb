"""The official MCP client for Python, unmodified, in the newest revision and in the one before it."""

import asyncio
import os
from typing import Any

import httpx2
from checks import API, KEY, MODEL, check
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client

URL = f"{API}/v1/mcp"
BRIEF = "A 40-year-old baker from Leeds"
COMMON = ["list_personas", "get_persona", "create_persona", "search_marketplace"]
TOOL = f"chat_with_{MODEL}"
# A persona of another workspace.
FOREIGN = os.environ["PERSONA_FOREIGN"]


async def raised(call: Any) -> MCPError | None:
    """What a call raises, if anything."""
    try:
        await call
    except MCPError as error:
        return error
    return None


async def lists(client: Client) -> None:
    tools = (await client.list_tools()).tools
    check("tools are listed", [tool.name for tool in tools] == [*COMMON, TOOL], tools)
    check("tools have both schemas", all(tool.input_schema and tool.output_schema for tool in tools), tools)
    prompts = (await client.list_prompts()).prompts
    check("prompts are listed", [prompt.name for prompt in prompts] == [MODEL], prompts)
    prompt = await client.get_prompt(MODEL)
    check("a prompt is read", prompts[0].title in prompt.messages[0].content.text, prompt)
    resources = (await client.list_resources()).resources
    check("resources are listed", [resource.name for resource in resources] == [MODEL], resources)
    contents = (await client.read_resource(str(resources[0].uri))).contents[0]
    check(
        "a resource is read", f"slug: {MODEL}" in contents.text and contents.mime_type == "application/yaml", contents
    )
    templates = (await client.list_resource_templates()).resource_templates
    check("a template is listed", templates[0].uri_template.startswith("persona://{persona}"), templates)


async def tools(client: Client, era: str) -> None:
    # The client itself holds structured content against the tool's schema.
    listed = await client.call_tool("list_personas", {"q": "watchmaker"})
    check("personas are listed", listed.structured_content["personas"][0]["slug"] == MODEL, listed)
    read = await client.call_tool("get_persona", {"persona": MODEL})
    check("a persona is read", read.structured_content["slug"] == MODEL, read.is_error)
    found = await client.call_tool("search_marketplace", {"q": "nobody-of-this-name"})
    check("the marketplace is searched", found.structured_content["listings"] == [], found)
    told: list[tuple[float, float | None, str | None]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, total, message))

    said = await client.call_tool(TOOL, {"message": f"Good evening, {era}"}, progress_callback=hear)
    words = said.structured_content["content"]
    check("a persona answers", said.content[0].text == words and words, said)
    check("its words are told as they come", "".join(piece[2] or "" for piece in told[1:]).strip() == words, told)
    on = {"message": "Go on.", "conversation_id": said.structured_content["conversation_id"]}
    went_on = await client.call_tool(TOOL, on)
    same = went_on.structured_content["conversation_id"] == on["conversation_id"]
    check("a conversation goes on", same and went_on.structured_content["run_id"], went_on)
    told.clear()
    made = await client.call_tool("create_persona", {"intent": f"{BRIEF}, {era}"}, progress_callback=hear)
    check("a persona is made", made.structured_content["status"] == "completed", made)
    check("each step is told", len(told) > 8 and told[-1][0] <= told[-1][1], told)
    talk = made.structured_content["persona"]["tool"]
    tools = (await client.list_tools(cache_mode="refresh")).tools
    check("and is a tool from then on", talk in [tool.name for tool in tools], tools)


async def errors(client: Client) -> None:
    wrong = await client.call_tool("create_persona", {"intent": 5, "colour": "red"})
    pointers = sorted(detail["pointer"] for detail in wrong.structured_content["error"]["details"])
    check("wrong arguments are named", wrong.is_error and pointers == ["/colour", "/intent"], wrong)
    error = await raised(client.call_tool("forget_everything", {}))
    check("an unknown tool is raised", error and error.error.data["error"]["code"] == "resource.not_found", error)
    error = await raised(client.read_resource(f"persona://{FOREIGN}"))
    check("another workspace's resource is raised", error and FOREIGN in error.error.message, error)
    foreign = await client.call_tool("get_persona", {"persona": FOREIGN})
    code = foreign.structured_content["error"]["code"]
    check("another workspace's persona is told", foreign.is_error and code == "resource.not_found", foreign)


async def connected(mode: str, revision: str, key: str) -> None:
    async with (
        httpx2.AsyncClient(headers={"Authorization": f"Bearer {key}"}, timeout=90) as http,
        Client(streamable_http_client(URL, http_client=http), mode=mode) as client,
    ):
        check(f"{mode}: a revision is agreed on", client.protocol_version == revision, client.protocol_version)
        check(f"{mode}: the server is known", client.server_info.name == "persona", client.server_info)
        if {tool.name for tool in (await client.list_tools()).tools} == {*COMMON, TOOL}:
            await lists(client)
        await tools(client, mode)
        await errors(client)


async def main() -> None:
    await connected("auto", "2026-07-28", KEY)
    await connected("legacy", "2025-11-25", KEY)


if __name__ == "__main__":
    asyncio.run(main())
    print("done")
