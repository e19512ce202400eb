// The protocol's own conformance suite against the server, for each revision that the suite knows. It sends no key, so a proxy
// in between adds one. What fails is listed with its reason in docs/MCP.md, and read there: a scenario that begins or ceases to
// fail fails here.

import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { API, KEY, check } from "./checks.mjs";

const SUITE = fileURLToPath(new URL("node_modules/@modelcontextprotocol/conformance/dist/index.js", import.meta.url));
const PAGE = readFileSync(new URL("../../../docs/MCP.md", import.meta.url), "utf8");

/** What the page says fails in a revision. */
function expected(revision) {
  const section = PAGE.slice(PAGE.indexOf("## Conformance"));
  const rows = section.split("\n").map((line) => line.split(" | ")).filter((row) => row.length === 3 && row[1].includes(revision));
  return rows.flatMap(([scenarios]) => [...scenarios.matchAll(/`([^`]+)`/g)].map(([, name]) => name));
}

/** Passes everything on, with the key. */
function proxy() {
  const { hostname, port } = new URL(API);
  const server = createServer((asked, answer) => {
    const headers = { ...asked.headers, authorization: `Bearer ${KEY}` };
    const passed = request({ hostname, port, path: asked.url, method: asked.method, headers }, (given) => {
      answer.writeHead(given.statusCode, given.headers);
      given.pipe(answer);
    });
    passed.on("error", () => answer.destroy());
    asked.pipe(passed);
  });
  return new Promise((begun) => server.listen(0, "127.0.0.1", () => begun(server)));
}

/** Runs what a revision requires of servers, less what is expected to fail; what the suite said. */
function conform(url, revision, baseline, results) {
  const options = ["server", "--url", url, "--requirements", revision, "--expected-failures", baseline, "-o", results];
  return new Promise((ended) => {
    execFile(process.execPath, [SUITE, ...options], { timeout: 100_000, maxBuffer: 1 << 24 }, (error, stdout, stderr) => {
      ended({ failed: error !== null, said: `${stdout}\n${stderr}`.slice(-6_000) });
    });
  });
}

const server = await proxy();
const url = `http://127.0.0.1:${server.address().port}/v1/mcp`;
const results = mkdtempSync(join(tmpdir(), "conformance-"));
const revisions = ["2026-07-28", "2025-11-25"].map(async (revision) => {
  const known = expected(revision);
  const baseline = join(results, `${revision}.yaml`);
  writeFileSync(baseline, JSON.stringify({ server: known }));
  const { failed, said } = await conform(url, revision, baseline, results);
  check(`${revision}: what fails is what is known to, ${known.length} in number`, known.length > 0 && !failed, said);
});
await Promise.all(revisions);
server.close();
rmSync(results, { recursive: true });
console.log("done");
