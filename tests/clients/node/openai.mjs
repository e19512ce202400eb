// OpenAI's own client for Node, unmodified.

import OpenAI from "openai";
import {
  ASKS_FOR_WEATHER, BASE, CONVERSATION, EMBEDDINGS, KEY, LIMITED_KEY, LIMITED_MODEL, MODEL, check, drain, transcript, untilThrown,
} from "./checks.mjs";

const client = new OpenAI({ baseURL: BASE, apiKey: KEY, maxRetries: 0 });
const create = (body, options) => client.chat.completions.create({ model: MODEL, ...body }, options);
const greeting = [{ role: "user", content: "Good evening. Who are you?" }];
const tools = [
  {
    type: "function",
    function: {
      name: "get_weather",
      description: "The weather in a city.",
      parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
    },
  },
];

async function models() {
  const listed = [];
  for await (const model of client.models.list()) listed.push(model.id);
  check("models list the persona and the embedding model", listed.includes(MODEL) && listed.includes(EMBEDDINGS), listed);
  const model = await client.models.retrieve(MODEL);
  check("a model is read by its name", model.id === MODEL && model.object === "model", model);
}

async function wholeAnswer() {
  const messages = [{ role: "system", content: "It is winter." }, { role: "user", content: [{ type: "text", text: "Hello" }] }];
  const answer = await create({ messages, temperature: 0.5, max_completion_tokens: 300, seed: 7 });
  check("chat answers", answer.choices[0].message.content && answer.choices[0].finish_reason === "stop", answer);
  check("chat counts", answer.usage.total_tokens > 0, answer.usage);
  check("chat tells drift and cost", answer.persona.drift.verdict && answer.persona.cost_usd === 0, answer.persona);
}

async function stream() {
  const body = { messages: greeting, seed: 7, stream: true, stream_options: { include_usage: true } };
  const chunks = [];
  for await (const chunk of await create(body)) chunks.push(chunk);
  const choices = chunks.flatMap((chunk) => chunk.choices);
  const words = choices.map((choice) => choice.delta.content ?? "").join("");
  const whole = await create({ messages: greeting, seed: 7 });
  check("a stream says what a whole answer says", words.trim() === whole.choices[0].message.content, words);
  const reasons = choices.map((choice) => choice.finish_reason);
  check("a stream ends once", reasons.at(-1) === "stop" && reasons.slice(0, -1).every((reason) => reason === null), reasons);
  const last = chunks.at(-1);
  check("a stream ends with usage and drift", last.usage.total_tokens > 0 && last.persona.drift.method, last);
}

async function functions() {
  const asked = [{ role: "user", content: ASKS_FOR_WEATHER }];
  const { message, finish_reason: reason } = (await create({ messages: asked, tools })).choices[0];
  check("a function is called", reason === "tool_calls" && message.tool_calls[0].function.arguments === '{"city":"Izmir"}', message);
  const result = { role: "tool", tool_call_id: message.tool_calls[0].id, content: "It is 21 degrees in Izmir." };
  const answer = await create({ messages: [...asked, message, result], tools });
  check("a function's result is answered", answer.choices[0].message.content.includes("21 degrees"), answer);
  const runner = client.chat.completions.runTools({
    model: MODEL,
    messages: asked,
    stream: true,
    tools: [{ type: "function", function: { ...tools[0].function, parse: JSON.parse, function: ({ city }) => `It is 22 degrees in ${city}.` } }],
  });
  const spoken = await runner.finalContent();
  check("the client's own loop calls the function in a stream", spoken.includes("22 degrees in Izmir"), spoken);
}

async function embeddings() {
  const made = await client.embeddings.create({ model: EMBEDDINGS, input: ["one", "two"] });
  check("vectors come as asked by default", made.data.every((row) => row.embedding.length === 384), made.usage);
  const plain = await client.embeddings.create({ model: EMBEDDINGS, input: "one", encoding_format: "float" });
  const far = Math.max(...plain.data[0].embedding.map((number, at) => Math.abs(number - made.data[0].embedding[at])));
  check("base64 and numbers are the same vector", far < 1e-6, far);
}

async function conversation() {
  const before = (await transcript()).length;
  const headers = { "X-Persona-Conversation-Id": CONVERSATION };
  const answer = await create({ messages: [{ role: "user", content: "Is it me you remember?" }] }, { headers });
  const kept = await transcript();
  check("a conversation keeps the turn", kept.length === before + 2 && kept[0].content === answer.choices[0].message.content, kept);
}

async function errors() {
  const stranger = new OpenAI({ baseURL: BASE, apiKey: "sk-nobody", maxRetries: 0 });
  let error = await untilThrown(() => stranger.models.list());
  check("401 is thrown", error instanceof OpenAI.AuthenticationError && error.code === "invalid_api_key", error);
  check("an error names the request", error.requestID.startsWith("req_"), error.headers);
  error = await untilThrown(() => create({ model: "nobody", messages: greeting }));
  check("404 is thrown", error instanceof OpenAI.NotFoundError && error.code === "model_not_found", error);
  error = await untilThrown(() => create({ messages: greeting, logprobs: true }));
  check("400 names the parameter", error instanceof OpenAI.BadRequestError && error.param === "logprobs", error);
}

async function limits() {
  const limited = new OpenAI({ baseURL: BASE, apiKey: LIMITED_KEY, maxRetries: 0 });
  const error = await untilThrown(() => limited.models.list());
  check("429 is thrown", error instanceof OpenAI.RateLimitError && Number(error.headers.get("retry-after")) >= 1, error);
  await drain();
  const patient = limited.withOptions({ maxRetries: 4 });
  const answer = await patient.chat.completions.create({ model: LIMITED_MODEL, messages: greeting });
  check("after its own retry the client is answered", answer.choices[0].message.content, answer);
}

for (const part of [models, wholeAnswer, stream, functions, embeddings, conversation, errors, limits]) await part();
console.log("done");
