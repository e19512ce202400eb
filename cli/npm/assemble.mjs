// Makes the npm packages from a built binary:
//   node cli/npm/assemble.mjs <binary> <folder> [<platform>-<arch>]
// writes <folder>/cli, which people install, and <folder>/cli-<platform>-<arch>, which has the binary.
import { chmodSync, copyFileSync, cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const [binary, folder, target = `${process.platform}-${process.arch}`] = process.argv.slice(2);
if (!folder) {
  console.error("usage: node cli/npm/assemble.mjs <binary> <folder> [<platform>-<arch>]");
  process.exit(2);
}

const own = fileURLToPath(new URL(".", import.meta.url));
const main = JSON.parse(readFileSync(join(own, "package.json"), "utf8"));
const name = `@persona/cli-${target}`;
if (!(name in main.optionalDependencies)) {
  console.error(`error: ${name} is no optional dependency of ${main.name}: add it to cli/npm/package.json.`);
  process.exit(1);
}

const people = join(folder, "cli");
mkdirSync(join(people, "bin"), { recursive: true });
for (const file of ["package.json", "bin/persona.js"]) cpSync(join(own, file), join(people, file));

const [os, cpu] = target.split("-");
const file = os === "win32" ? "persona.exe" : "persona";
const platform = join(folder, `cli-${target}`);
mkdirSync(join(platform, "bin"), { recursive: true });
copyFileSync(binary, join(platform, "bin", file));
chmodSync(join(platform, "bin", file), 0o755);
const { version, license } = main;
const description = `The persona binary for ${os} on ${cpu}`;
// `preferUnplugged`: a binary cannot be started from within an archive.
const manifest = { name, version, description, license, os: [os], cpu: [cpu], files: [`bin/${file}`], preferUnplugged: true };
writeFileSync(join(platform, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
