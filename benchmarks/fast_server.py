"""A chat completion server with minimal HTTP, faster than any client that it measures.

    python benchmarks/fast_server.py PORT

POST is answered after 20 ms with a text that depends on the end of the body; GET tells how many
POSTs there were.
"""

from __future__ import annotations

import asyncio
import sys
import zlib
from typing import Any

import orjson

LATENCY_SECONDS = 0.02
ANSWER = "Let the side of the square be x. " * 20


class FastServer(asyncio.Protocol):
    """A connection to the server; request bodies are counted, not parsed."""

    asked = 0

    def connection_made(self, transport: Any) -> None:
        """Keep the transport and start with an empty buffer."""
        self.transport = transport
        self.pending = bytearray()

    def data_received(self, data: bytes) -> None:
        """Add the data to the buffer and answer every request that is complete."""
        self.pending += data
        while (end := self.pending.find(b"\r\n\r\n")) >= 0:
            head = bytes(self.pending[:end]).lower()
            length = (
                int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
                if b"content-length: " in head
                else 0
            )
            if len(self.pending) < end + 4 + length:
                return
            tail = bytes(self.pending[max(end + 4, end + 4 + length - 200) : end + 4 + length])
            del self.pending[: end + 4 + length]
            if head.startswith(b"get"):
                self._reply(str(FastServer.asked).encode())
            else:
                FastServer.asked += 1
                asyncio.get_running_loop().call_later(LATENCY_SECONDS, self._answer, tail)

    def _answer(self, tail: bytes) -> None:
        message = {"role": "assistant", "content": f"{ANSWER}{zlib.crc32(tail)}"}
        usage = {"prompt_tokens": 1100, "completion_tokens": 170, "total_tokens": 1270}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        body = {
            "id": "c",
            "object": "chat.completion",
            "created": 1,
            "model": "m",
            "choices": [choice],
            "usage": usage,
        }
        self._reply(orjson.dumps(body))

    def _reply(self, body: bytes) -> None:
        if not self.transport.is_closing():
            head = (
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
                % len(body)
            )
            self.transport.write(head + body)


async def serve(port: int) -> None:
    """Serve on a port of this machine until the process is killed."""
    server = await asyncio.get_running_loop().create_server(FastServer, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
