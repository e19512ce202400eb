// Makes a persona and prints each field of it as soon as it is known.
const base = process.env.PERSONA_BASE_URL ?? "https://api.persona.dev";

const response = await fetch(`${base}/v1/personas?stream=true`, {
  method: "POST",
  headers: {
    Authorization: `Bearer ${process.env.PERSONA_API_KEY}`,
    Accept: "text/event-stream",
    "Content-Type": "application/json",
  },
  body: JSON.stringify({ intent: "A 66-year-old chef from Sydney who collects vintage cars" }),
});
if (!response.ok || !response.body) throw new Error(await response.text());

let text = "";
for await (const piece of response.body.pipeThrough(new TextDecoderStream())) {
  text += piece;
  const blocks = text.split("\n\n");
  text = blocks.pop() ?? "";
  for (const block of blocks) {
    const event = /^event: (.*)$/m.exec(block)?.[1];
    const data = JSON.parse(/^data: (.*)$/m.exec(block)?.[1] ?? "{}");
    if (event) console.log(event, data.path ?? data.step ?? data.persona_id ?? "");
  }
}
