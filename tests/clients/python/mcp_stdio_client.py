"""The official MCP client for Python over stdio: `persona mcp serve` is the server that a host would start."""

import asyncio
import os

from checks import API, KEY, check
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from mcp_client import COMMON, TOOL, errors, lists, tools

BRIDGE = StdioServerParameters(
    command=os.environ["PERSONA_CLI"],
    args=["mcp", "serve", "--workspace", os.environ["PERSONA_OWN_WORKSPACE"]],
    env={"PERSONA_BASE_URL": API, "PERSONA_API_KEY": KEY, "HOME": os.environ["HOME"]},
)


async def connected(mode: str) -> None:
    async with Client(BRIDGE, mode=mode) as client:
        check(f"{mode}: a revision is agreed on", client.protocol_version, client.protocol_version)
        check(f"{mode}: the server is known", client.server_info.name == "persona", client.server_info)
        before = {tool.name for tool in (await client.list_tools()).tools}
        if before == {*COMMON, TOOL}:
            await lists(client)
        await tools(client, mode)
        await errors(client)


async def main() -> None:
    await connected("auto")
    await connected("legacy")


if __name__ == "__main__":
    asyncio.run(main())
    print("done")
