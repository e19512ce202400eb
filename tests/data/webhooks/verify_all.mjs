// Runs the verifier of docs/snippets, as it is printed, on each case of standard input; prints what came of each.
import { readFileSync } from "node:fs";

const { verify } = await import(process.argv[2]);
const cases = JSON.parse(readFileSync(0, "utf8"));
const outcomes = cases.map(({ signature, body, secret }) => {
  try {
    verify({ headers: { "persona-signature": signature }, rawBody: body }, secret);
    return "ok";
  } catch (error) {
    return error.message;
  }
});
console.log(JSON.stringify(outcomes));
