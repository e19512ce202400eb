"""A small HTTP/1.1 client on asyncio streams: kept-alive connections, whole answers, or lines as they arrive."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

LINE_LIMIT = 8 * 1024 * 1024


@dataclass(frozen=True)
class Response:
    status: int
    headers: dict[str, str]
    body: bytes = b""


@dataclass
class Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def close(self) -> None:
        self.writer.close()

    @property
    def usable(self) -> bool:
        return not self.reader.at_eof() and not self.writer.is_closing()


class Client:
    """Requests to one origin. Not for secrets across a network: plain HTTP, meant for loopback."""

    def __init__(self, base_url: str) -> None:
        parts = urlsplit(base_url)
        self.host = parts.hostname or "127.0.0.1"
        self.port = parts.port or 80
        self._idle: list[Connection] = []

    async def request(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None, timeout: float = 60
    ) -> Response:
        async with asyncio.timeout(timeout):
            while self._idle:
                connection = self._idle.pop()
                if connection.usable:
                    try:
                        return await self._exchange(connection, method, path, body, headers or {})
                    except (ConnectionError, asyncio.IncompleteReadError):
                        continue  # the server closed it while it was idle; it has not read the request
            return await self._exchange(await self._connect(), method, path, body, headers or {})

    @asynccontextmanager
    async def stream(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> AsyncIterator[tuple[Response, AsyncIterator[bytes]]]:
        """The head of the answer, and its body line by line as it comes."""
        connection = await self._connect()
        try:
            await self._send(connection, method, path, body, headers)
            head = await read_head(connection.reader)
            yield head, _lines(read_chunks(connection.reader, head.headers))
        finally:
            connection.close()

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    async def _connect(self) -> Connection:
        return Connection(*await asyncio.open_connection(self.host, self.port, limit=LINE_LIMIT))

    async def _send(
        self, connection: Connection, method: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> None:
        lines = [f"{method} {path} HTTP/1.1", f"host: {self.host}:{self.port}", f"content-length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items() if name.lower() != "host"]
        connection.writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        await connection.writer.drain()

    async def _exchange(
        self, connection: Connection, method: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> Response:
        try:
            await self._send(connection, method, path, body, headers)
            head = await read_head(connection.reader)
            chunks = [chunk async for chunk in read_chunks(connection.reader, head.headers)]
        except BaseException:
            connection.close()
            raise
        if head.headers.get("connection", "").lower() == "close":
            connection.close()
        else:
            self._idle.append(connection)
        return Response(head.status, head.headers, b"".join(chunks))


async def read_head(reader: asyncio.StreamReader) -> Response:
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines[1:] if line)
    return Response(int(lines[0].split(" ", 2)[1]), {name.lower(): value.strip() for name, _, value in pairs})


async def read_chunks(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> AsyncIterator[bytes]:
    if headers.get("transfer-encoding", "").lower() == "chunked":
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            yield (await reader.readexactly(size + 2))[:-2]
        await reader.readuntil(b"\r\n")
    elif length := int(headers.get("content-length", "0")):
        yield await reader.readexactly(length)


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line
    if rest:
        yield rest
