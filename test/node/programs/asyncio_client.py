"""A client on CPython's asyncio streams.

Reads what it is to do, a line each: SCENARIO tcp PORT, or SCENARIO unix PATH. Prints what it found out as one line of
JSON each.
"""

import asyncio
import hashlib
import json
import os
import socket
import struct
import sys


def digest(data):
    return f"{len(data)} {hashlib.sha256(data).hexdigest()}"


async def reads(reader, writer):
    """One of each read, and the end."""
    found = [
        (await reader.readline()).decode(),
        (await reader.readexactly(5)).decode(),
        (await reader.readuntil(b"|")).decode(),
        (await reader.read(3)).decode(),
        digest(await reader.read(-1)),
        (await reader.read(1)).decode(),
        reader.at_eof(),
    ]
    return found


async def pipeline(reader, writer):
    """Many small requests at once, and then their answers."""
    writer.writelines(f"request {i}\n".encode() for i in range(2000))
    await writer.drain()
    writer.write_eof()
    answers = [line async for line in reader]
    return {"count": len(answers), "inOrder": answers == [f"request {i}\n".encode() for i in range(2000)]}


async def large(reader, writer):
    """Five megabytes there and back at the same time."""
    data = bytes(i * 31 & 255 for i in range(1 << 16)) * 80

    async def send():
        for at in range(0, len(data), 10_000):
            writer.write(data[at : at + 10_000])
            await writer.drain()
        writer.write_eof()

    sending = asyncio.create_task(send())
    received = await reader.read(-1)
    await sending
    return {"same": received == data, "size": len(received)}


async def half_close(reader, writer):
    """Asks, ends its output, and reads the answer."""
    writer.write(b"the whole question")
    writer.write_eof()
    return {"answer": (await reader.read(-1)).decode()}


async def overlong(reader, writer):
    """A line over the other side's limit between two that are not."""
    writer.write(b"first\n" + b"x" * 100_000 + b"\nlast\n")
    return {"answers": [(await reader.readline()).decode() for _ in range(3)]}


async def lost(reader, writer):
    """The other side resets the connection."""
    line = (await reader.readline()).decode()
    try:
        await reader.readexactly(1000)
        return {"line": line, "error": None}
    except (ConnectionError, asyncio.IncompleteReadError) as error:
        return {"line": line, "error": type(error).__name__}


async def vanish(reader, writer):
    """Leaves in the middle of a line, without a goodbye."""
    writer.write(b"half a li")
    await writer.drain()
    await reader.readline()
    print(json.dumps("gone"), flush=True)
    os._exit(0)


async def abort(reader, writer):
    """Resets in the middle of a line."""
    writer.write(b"half a li")
    await writer.drain()
    await reader.readline()
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    return "aborted"


async def play(scenario, kind, where):
    if kind == "tcp":
        reader, writer = await asyncio.open_connection("127.0.0.1", int(where), limit=1 << 20)
    else:
        reader, writer = await asyncio.open_unix_connection(where, limit=1 << 20)
    found = await globals()[scenario](reader, writer)
    writer.close()
    try:
        await writer.wait_closed()
    except ConnectionError:
        pass
    return found


for line in sys.stdin:
    print(json.dumps(asyncio.run(play(*line.split()))), flush=True)
