// The MCP inspector's command line, unmodified: lists and calls tools over HTTP.

import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { API, KEY, MODEL, check } from "./checks.mjs";

const INSPECTOR = fileURLToPath(
  new URL("node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js", import.meta.url),
);
// It keeps what it knows of servers in its user's home.
const HOME = mkdtempSync(join(tmpdir(), "inspector-"));

/** Runs the inspector; what it printed as JSON. */
async function inspect(...method) {
  const server = ["--cli", `${API}/v1/mcp`, "--transport", "http", "--header", `Authorization: Bearer ${KEY}`];
  const options = { timeout: 60_000, env: { ...process.env, HOME } };
  const { stdout } = await promisify(execFile)(process.execPath, [INSPECTOR, ...server, ...method], options);
  return JSON.parse(stdout);
}

const { tools } = await inspect("--method", "tools/list");
const names = tools.map((tool) => tool.name);
check("tools are listed", names.includes("list_personas") && names.includes(`chat_with_${MODEL}`), names);
const listed = await inspect("--method", "tools/call", "--tool-name", "list_personas");
check("a tool is called", listed.structuredContent.personas[0].slug === MODEL, listed);
const said = await inspect("--method", "tools/call", "--tool-name", `chat_with_${MODEL}`, "--tool-arg", "message=Good evening");
check("a persona answers", said.content[0].text === said.structuredContent.content, said);
const { prompts } = await inspect("--method", "prompts/list");
check("prompts are listed", prompts[0].name === MODEL, prompts);
const prompt = await inspect("--method", "prompts/get", "--prompt-name", MODEL);
check("a prompt is read", prompt.messages[0].content.text.includes(prompts[0].title), prompt);
const { resources } = await inspect("--method", "resources/list");
check("resources are listed", resources[0].mimeType === "application/yaml", resources);
const read = await inspect("--method", "resources/read", "--uri", resources[0].uri);
check("a resource is read", read.contents[0].text.includes(`slug: ${MODEL}`), read);
rmSync(HOME, { recursive: true });
console.log("done");
