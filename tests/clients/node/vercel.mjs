// The Vercel AI SDK with its provider for OpenAI-compatible APIs, unmodified.

import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, Output, embedMany, generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";
import {
  ASKS_FOR_WEATHER, BASE, CONVERSATION, EMBEDDINGS, KEY, LIMITED_KEY, LIMITED_MODEL, MODEL, check, drain, transcript, untilThrown,
} from "./checks.mjs";

const provider = (apiKey) =>
  createOpenAICompatible({ name: "persona", baseURL: BASE, apiKey, includeUsage: true, supportsStructuredOutputs: true });
const persona = provider(KEY);
const model = persona.chatModel(MODEL);
const weather = tool({
  description: "The weather in a city.",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => `It is 21 degrees in ${city}.`,
});

async function answers() {
  const answer = await generateText({ model, system: "It is winter.", prompt: "Who are you?", temperature: 0.5, maxRetries: 0 });
  check("chat answers", answer.text && answer.finishReason === "stop", answer.text);
  check("chat counts", answer.usage.totalTokens > 0, answer.usage);
  const output = Output.object({ schema: z.object({ name: z.string(), distance: z.number().int() }) });
  const form = await generateText({ model, prompt: "Where are you?", output, maxRetries: 0 });
  check("an answer takes a form", typeof form.output.name === "string", form.output);
}

async function stream() {
  const streamed = streamText({ model, prompt: "Who are you?", maxRetries: 0, onError: () => {} });
  const pieces = [];
  for await (const piece of streamed.textStream) pieces.push(piece);
  check("a stream comes in pieces", pieces.length > 1, pieces);
  check("a stream ends with the usage", (await streamed.usage).totalTokens > 0, await streamed.usage);
  check("a stream ends once", (await streamed.finishReason) === "stop", await streamed.finishReason);
}

async function functions() {
  const asked = { model, prompt: ASKS_FOR_WEATHER, tools: { get_weather: weather }, stopWhen: stepCountIs(3), maxRetries: 0 };
  const answer = await generateText(asked);
  check("a function is called and answered", answer.steps.length === 2 && answer.text.includes("21 degrees in Izmir"), answer.text);
  const streamed = streamText({ ...asked, onError: () => {} });
  check("the same in a stream", (await streamed.text).includes("21 degrees in Izmir"), await streamed.steps);
}

async function embeddings() {
  const { embeddings: vectors } = await embedMany({ model: persona.embeddingModel(EMBEDDINGS), values: ["one", "two"], maxRetries: 0 });
  check("vectors are made", vectors.length === 2 && vectors.every((vector) => vector.length === 384), vectors.length);
}

async function conversation() {
  const before = (await transcript()).length;
  const headers = { "X-Persona-Conversation-Id": CONVERSATION };
  const answer = await generateText({ model, prompt: "Do you remember?", headers, maxRetries: 0 });
  const kept = await transcript();
  check("a conversation keeps the turn", kept.length === before + 2 && kept[0].content === answer.text, kept);
}

async function errors() {
  const thrown = async (from, prompt = "Hello") => untilThrown(() => generateText({ model: from, prompt, maxRetries: 0 }));
  const failed = (error, status) => APICallError.isInstance(error) && error.statusCode === status;
  let error = await thrown(provider("sk-nobody").chatModel(MODEL));
  check("401 is thrown", failed(error, 401) && !error.isRetryable, error);
  error = await thrown(persona.chatModel("nobody"));
  check("404 is thrown", failed(error, 404) && error.message.includes("nobody"), error);
  const limited = provider(LIMITED_KEY).chatModel(LIMITED_MODEL);
  await drain();
  error = await thrown(limited);
  check("429 is thrown", failed(error, 429) && error.isRetryable, error);
  await drain();
  const answer = await generateText({ model: limited, prompt: "Hello", maxRetries: 4 });
  check("after its own retry the client is answered", answer.text, answer);
}

for (const part of [answers, stream, functions, embeddings, conversation, errors]) await part();
console.log("done");
