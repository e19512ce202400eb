// What the scripts of OpenAI's clients share: the workspaces that they are given.

import { API, check, read } from "./stack.mjs";

export { check };
export const BASE = `${API}/v1/openai`;
export const KEY = read("PERSONA_API_KEY");
export const MODEL = read("PERSONA_MODEL");
export const CONVERSATION = read("PERSONA_CONVERSATION");
// A key of a workspace whose bucket is small, and a persona there.
export const LIMITED_KEY = read("PERSONA_LIMITED_KEY");
export const LIMITED_MODEL = read("PERSONA_LIMITED_MODEL");
export const EMBEDDINGS = "sandbox-1";
// docs/sandbox.md: the simulation calls a function where the message says so.
export const ASKS_FOR_WEATHER = 'How is the weather in Izmir? [[call:get_weather {"city": "Izmir"}]]';
const CALLS_AT_MOST = 200;

/** Calls until a call throws; a bucket is empty soon. */
export async function untilThrown(call) {
  for (let at = 0; at < CALLS_AT_MOST; at += 1) {
    try {
      await call();
    } catch (error) {
      return error;
    }
  }
  return undefined;
}

/** Empties the small bucket. */
export async function drain() {
  for (let at = 0; at < CALLS_AT_MOST; at += 1) {
    const answer = await fetch(`${BASE}/models`, { headers: { authorization: `Bearer ${LIMITED_KEY}` } });
    await answer.arrayBuffer();
    if (answer.status === 429) return;
  }
  check("the bucket is empty", false, CALLS_AT_MOST);
}

/** The conversation as the API itself tells it, newest first. */
export async function transcript() {
  const url = `${API}/v1/chat/conversations/${CONVERSATION}/messages?limit=100`;
  const answer = await fetch(url, { headers: { authorization: `Bearer ${KEY}` } });
  return (await answer.json()).data;
}
