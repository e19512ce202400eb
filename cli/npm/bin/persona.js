#!/usr/bin/env node
// Starts the binary of this platform, which npm has chosen among the optional dependencies: nothing is downloaded,
// and nothing runs while it is installed.
"use strict";
const { spawn } = require("node:child_process");
const { constants } = require("node:os");

const name = `@persona/cli-${process.platform}-${process.arch}`;
const file = process.platform === "win32" ? "persona.exe" : "persona";

let binary;
try {
  binary = require.resolve(`${name}/bin/${file}`);
} catch {
  console.error(`error: ${name} is not installed, or there is no persona for ${process.platform} on ${process.arch}.`);
  console.error("hint: install again, without --omit=optional: npm i -g @persona/cli");
  process.exit(1);
}

const child = spawn(binary, process.argv.slice(2), { stdio: "inherit" });
// The terminal sends Ctrl-C to both; whoever ends this process means the other.
process.on("SIGINT", () => {});
for (const signal of ["SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
child.on("error", (error) => {
  console.error(`error: ${binary} cannot be started: ${error.message}`);
  process.exit(1);
});
child.on("exit", (code, signal) => process.exit(code ?? 128 + (constants.signals[signal] ?? 0)));
