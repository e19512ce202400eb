// Makes a persona and prints its id.
const base = process.env.PERSONA_BASE_URL ?? "https://api.persona.dev";

const response = await fetch(`${base}/v1/personas`, {
  method: "POST",
  headers: {
    Authorization: `Bearer ${process.env.PERSONA_API_KEY}`,
    "Content-Type": "application/json",
    "Idempotency-Key": crypto.randomUUID(),
  },
  body: JSON.stringify({
    intent: "A 58-year-old bookseller from Istanbul who hides letters in old books",
    visibility: "workspace",
  }),
});
const answer: any = await response.json();
if (!response.ok) throw new Error(answer.error.message);
console.log(answer.id);
