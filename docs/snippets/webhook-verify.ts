// Checks a delivery of a webhook.
import { createHmac, timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";

/** Throws unless `signature`, the header Persona-Signature, is of the raw body. */
export function verify(signature: string, body: Buffer, secret: string): void {
  const [t, v1] = signature.split(",").map((field) => field.split("=")[1]);
  const expected = createHmac("sha256", secret).update(`${t}.`).update(body).digest("hex");
  const [given, wanted] = [Buffer.from(v1 ?? ""), Buffer.from(expected)];
  if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) throw new Error("invalid signature");
  if (Date.now() / 1000 - Number(t) > 300) throw new Error("stale");
}

verify(process.argv[2] ?? "", readFileSync(0), process.env.PERSONA_WEBHOOK_SECRET ?? "");
console.log("ok");
