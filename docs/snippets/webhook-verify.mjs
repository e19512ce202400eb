import crypto from "node:crypto";
export function verify(req, secret) {
  const sig = req.headers["persona-signature"]; // "t=...,v1=..."
  const [t, v1] = sig.split(",").map(p => p.split("=")[1]);
  const payload = t + "." + req.rawBody;
  const expected = crypto.createHmac("sha256", secret).update(payload).digest("hex");
  if (!crypto.timingSafeEqual(Buffer.from(v1), Buffer.from(expected))) {
    throw new Error("invalid signature");
  }
  if (Date.now() / 1000 - Number(t) > 300) throw new Error("stale");
}
