// What every script shares: where the stack is, and one line a check.

/** What the stack says of itself. */
export function read(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set`);
  return value;
}

export const API = read("PERSONA_BASE_URL");

/** Prints the check, or ends the script with what was seen instead. */
export function check(what, holds, seen) {
  if (!holds) {
    console.log(`FAILED ${what}:`, seen);
    process.exit(1);
  }
  console.log(`ok ${what}`);
}
