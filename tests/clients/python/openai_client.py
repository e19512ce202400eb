"""OpenAI's own client for Python, unmodified."""

import json

import openai
from checks import (
    ASKS_FOR_WEATHER,
    BASE,
    CONVERSATION,
    EMBEDDINGS,
    KEY,
    LIMITED_KEY,
    LIMITED_MODEL,
    MODEL,
    check,
    drain,
    transcript,
    until_raised,
)
from pydantic import BaseModel

client = openai.OpenAI(base_url=BASE, api_key=KEY, max_retries=0)
chat = client.chat.completions
GREETING = [{"role": "user", "content": "Good evening. Who are you?"}]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather in a city.",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
]


def models() -> None:
    listed = [model.id for model in client.models.list()]
    check("models list the persona and the embedding model", {MODEL, EMBEDDINGS} <= set(listed), listed)
    model = client.models.retrieve(MODEL)
    check("a model is read by its name", model.id == MODEL and model.object == "model" and model.created > 0, model)


def whole_answer() -> None:
    answer = chat.create(
        model=MODEL,
        messages=[
            {"role": "system", "content": "It is winter."},
            {"role": "developer", "content": "Be kind."},
            *GREETING,
        ],
        temperature=0.5,
        top_p=0.9,
        seed=7,
        max_completion_tokens=300,
        n=1,
        user="somebody",
        store=False,
        metadata={"a": "b"},
    )
    choice = answer.choices[0]
    check("chat answers", choice.message.content and choice.finish_reason == "stop", answer)
    check(
        "chat counts", answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens, answer
    )
    about = answer.model_extra["persona"]
    check(
        "chat tells drift and cost", about["drift"]["verdict"] and about["cost_usd"] == 0 and about["simulated"], about
    )
    again = chat.create(model=MODEL, messages=[*GREETING], seed=7)
    versioned = chat.create(model=f"{MODEL}@1", messages=[*GREETING], seed=7)
    check("a version may be named", again.choices[0].message.content == versioned.choices[0].message.content, versioned)
    short = chat.create(model=MODEL, messages=GREETING, seed=7, max_tokens=2)
    check("max_tokens ends an answer", short.choices[0].finish_reason == "length", short)


def stream() -> None:
    chunks = list(
        chat.create(model=MODEL, messages=GREETING, seed=7, stream=True, stream_options={"include_usage": True})
    )
    words = [choice.delta.content for chunk in chunks for choice in chunk.choices if choice.delta.content]
    reasons = [choice.finish_reason for chunk in chunks for choice in chunk.choices]
    whole = chat.create(model=MODEL, messages=GREETING, seed=7).choices[0].message.content
    check("a stream says what a whole answer says", "".join(words).strip() == whole, words)
    check("a stream comes in pieces", len(words) > 1 and chunks[0].choices[0].delta.role == "assistant", chunks[0])
    check("a stream ends once", reasons[-1] == "stop" and not any(reasons[:-1]), reasons)
    check("a stream ends with the usage", not chunks[-1].choices and chunks[-1].usage.total_tokens > 0, chunks[-1])
    check("a stream ends with drift", chunks[-1].model_extra["persona"]["drift"]["method"], chunks[-1])
    plain = list(chat.create(model=MODEL, messages=GREETING, stream=True))
    check("usage comes only when asked for", all(chunk.usage is None and chunk.choices for chunk in plain), plain[-1])


def tools() -> None:
    asked = [{"role": "user", "content": ASKS_FOR_WEATHER}]
    answer = chat.create(model=MODEL, messages=asked, tools=TOOLS)
    message = answer.choices[0].message
    check("a function is called", answer.choices[0].finish_reason == "tool_calls" and message.tool_calls, answer)
    call = message.tool_calls[0]
    check("a function gets its arguments", json.loads(call.function.arguments) == {"city": "Izmir"}, call)
    result = {"role": "tool", "tool_call_id": call.id, "content": "It is 21 degrees in Izmir."}
    answer = chat.create(model=MODEL, messages=[*asked, message, result], tools=TOOLS)
    check("a function's result is answered", "21 degrees" in answer.choices[0].message.content, answer)
    with chat.stream(model=MODEL, messages=asked, tools=TOOLS) as streamed:
        final = streamed.get_final_completion()
    called = final.choices[0].message.tool_calls[0].function
    check("a function is called in a stream", called.name == "get_weather" and "Izmir" in called.arguments, final)
    forced = chat.create(model=MODEL, messages=GREETING, tools=TOOLS, tool_choice="required", parallel_tool_calls=False)
    check("a call can be required", forced.choices[0].message.tool_calls, forced)


class Point(BaseModel):
    """A form for an answer."""

    name: str
    distance: int


def form() -> None:
    answer = chat.parse(model=MODEL, messages=GREETING, response_format=Point)
    check("an answer takes a form", isinstance(answer.choices[0].message.parsed, Point), answer)


def embeddings() -> None:
    made = client.embeddings.create(model=EMBEDDINGS, input=["one", "two"])
    check("vectors come as asked by default", [len(row.embedding) for row in made.data] == [384, 384], made.usage)
    plain = client.embeddings.create(model=EMBEDDINGS, input="one", encoding_format="float")
    near = max(abs(a - b) for a, b in zip(plain.data[0].embedding, made.data[0].embedding, strict=True))
    check("base64 and numbers are the same vector", near < 1e-6, near)
    small = client.embeddings.create(model=EMBEDDINGS, input="one", dimensions=64)
    check("dimensions are kept", len(small.data[0].embedding) == 64, small)
    error = until_raised(lambda: client.embeddings.create(model=EMBEDDINGS, input=[[1, 2], [3]]))
    check("tokens are refused", isinstance(error, openai.BadRequestError) and error.param == "input", error)


def conversation() -> None:
    before = len(transcript())
    attached = {"X-Persona-Conversation-Id": CONVERSATION}
    answer = chat.create(model=MODEL, messages=[{"role": "user", "content": "Remember me?"}], extra_headers=attached)
    kept = transcript()
    check("a conversation keeps the turn", len(kept) == before + 2 and kept[1]["content"] == "Remember me?", kept)
    check("a conversation keeps the answer", kept[0]["content"] == answer.choices[0].message.content, kept[0])
    check("a turn names its conversation", answer.model_extra["persona"]["conversation_id"] == CONVERSATION, answer)
    asked = [{"role": "user", "content": ASKS_FOR_WEATHER}]
    called = chat.create(model=MODEL, messages=asked, tools=TOOLS, extra_headers=attached).choices[0].message
    result = {"role": "tool", "tool_call_id": called.tool_calls[0].id, "content": "It is 21 degrees."}
    chat.create(model=MODEL, messages=[*asked, called, result], tools=TOOLS, extra_headers=attached)
    check("a question with a function is kept once", len(transcript()) == before + 4, transcript())


def errors() -> None:
    def raised(kind: type[openai.APIStatusError], call: object) -> openai.APIStatusError:
        error = until_raised(call)
        check(f"{kind.__name__} is raised", isinstance(error, kind), error)
        check(f"{kind.__name__} names the request", str(error.request_id).startswith("req_"), error.response.headers)
        return error

    stranger = openai.OpenAI(base_url=BASE, api_key="sk-nobody", max_retries=0)
    error = raised(openai.AuthenticationError, stranger.models.list)
    check("401 has its code", error.code == "invalid_api_key", error.body)
    error = raised(openai.NotFoundError, lambda: chat.create(model="nobody", messages=GREETING))
    check("404 has its code", (error.code, error.param) == ("model_not_found", "model"), error.body)
    lost = {"X-Persona-Conversation-Id": "conv_0352hlJa4GkymUp58g1CfP"}
    raised(openai.NotFoundError, lambda: chat.create(model=MODEL, messages=GREETING, extra_headers=lost))
    error = raised(openai.BadRequestError, lambda: chat.create(model=MODEL, messages=GREETING, n=2))
    check("400 names the parameter", error.param == "n", error.body)
    error = raised(
        openai.InternalServerError,
        lambda: chat.create(model=MODEL, messages=[{"role": "user", "content": "[[trigger:provider_unavailable]] Hi"}]),
    )
    check("503 has its code", error.code == "provider.unavailable", error.body)


def limits() -> None:
    limited = openai.OpenAI(base_url=BASE, api_key=LIMITED_KEY, max_retries=0)
    error = until_raised(limited.models.list)
    check("RateLimitError is raised", isinstance(error, openai.RateLimitError), error)
    check("429 says when to come back", int(error.response.headers["retry-after"]) >= 1, error.response.headers)
    patient = limited.with_options(max_retries=4).chat.completions.with_raw_response
    retries = 0
    while retries == 0:
        drain()
        answer = patient.create(model=LIMITED_MODEL, messages=GREETING)
        retries = answer.retries_taken
    check("after its own retry the client is answered", answer.parse().choices[0].message.content, retries)


if __name__ == "__main__":
    for part in (models, whole_answer, stream, tools, form, embeddings, conversation, errors, limits):
        part()
    print("done")
