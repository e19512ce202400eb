// Begins a conversation with $PERSONA, says something, and prints the answer and how far it drifted.
const base = `${process.env.PERSONA_BASE_URL ?? "https://api.persona.dev"}/v1/chat/conversations`;

async function post(path: string, body: object): Promise<any> {
  const response = await fetch(base + path, {
    method: "POST",
    headers: { Authorization: `Bearer ${process.env.PERSONA_API_KEY}`, "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  const answer: any = await response.json();
  if (!response.ok) throw new Error(answer.error.message);
  return answer;
}

const conversation = await post("", { persona_id: process.env.PERSONA });
const turn = await post(`/${conversation.id}/messages`, { message: "What are you reading?" });
console.log(turn.content);
console.log(turn.drift.verdict);
