"""LangChain's ChatOpenAI and OpenAIEmbeddings, unmodified."""

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
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel


def chat(**more: object) -> ChatOpenAI:
    return ChatOpenAI(**{"base_url": BASE, "api_key": KEY, "model": MODEL, "max_retries": 0, **more})


@tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"It is 21 degrees in {city}."


class Point(BaseModel):
    """A form for an answer."""

    name: str
    distance: int


def answers() -> None:
    said = [SystemMessage("It is winter."), HumanMessage("Hello"), AIMessage("Good day."), HumanMessage("Who are you?")]
    answer = chat(temperature=0.5).invoke(said)
    check("chat answers", answer.content and answer.response_metadata["finish_reason"] == "stop", answer)
    check("chat counts", answer.usage_metadata["total_tokens"] > 0, answer)
    form = chat().with_structured_output(Point, method="json_schema").invoke("Where are you?")
    check("an answer takes a form", isinstance(form, Point), form)


def stream() -> None:
    chunks = list(chat(stream_usage=True).stream("Who are you?"))
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    check("a stream comes in pieces", len([chunk for chunk in chunks if chunk.content]) > 1, chunks)
    check("a stream ends with the usage", whole.usage_metadata["total_tokens"] > 0, whole)
    check("a stream ends once", whole.response_metadata["finish_reason"] == "stop", whole)


def tools() -> None:
    bound = chat().bind_tools([get_weather])
    said = [HumanMessage(ASKS_FOR_WEATHER)]
    called = bound.invoke(said)
    check("a function is called", [call["args"] for call in called.tool_calls] == [{"city": "Izmir"}], called)
    result = ToolMessage(get_weather.invoke(called.tool_calls[0]["args"]), tool_call_id=called.tool_calls[0]["id"])
    answer = bound.invoke([*said, called, result])
    check("a function's result is answered", "21 degrees" in answer.content and not answer.tool_calls, answer)
    chunks = list(bound.stream(said))
    pieces = [call for chunk in chunks for call in chunk.tool_call_chunks]
    check("a function is called in a stream", [piece["index"] for piece in pieces] == [0], pieces)


def embeddings() -> None:
    # Without the check LangChain sends texts; with it, tokens of OpenAI's own models.
    made = OpenAIEmbeddings(base_url=BASE, api_key=KEY, model=EMBEDDINGS, check_embedding_ctx_length=False)
    vectors = made.embed_documents(["one", "two"])
    check("vectors are made", [len(vector) for vector in vectors] == [384, 384], vectors)


def conversation() -> None:
    before = len(transcript())
    chat(default_headers={"X-Persona-Conversation-Id": CONVERSATION}).invoke("And you, do you remember?")
    check("a conversation keeps the turn", len(transcript()) == before + 2, transcript())


def errors() -> None:
    error = until_raised(lambda: chat(api_key="sk-nobody").invoke("Hello"))
    check("401 is raised", isinstance(error, openai.AuthenticationError), error)
    error = until_raised(lambda: chat(model="nobody").invoke("Hello"))
    check("404 is raised", isinstance(error, openai.NotFoundError), error)
    limited = {"api_key": LIMITED_KEY, "model": LIMITED_MODEL}
    drain()
    error = until_raised(lambda: chat(**limited).invoke("Hello"))
    check("429 is raised", isinstance(error, openai.RateLimitError), error)
    drain()
    answer = chat(**limited, max_retries=4).invoke("Hello")
    check("after its own retry the client is answered", answer.content, answer)


if __name__ == "__main__":
    for part in (answers, stream, tools, embeddings, conversation, errors):
        part()
    print("done")
