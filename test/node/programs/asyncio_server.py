"""A server on CPython's asyncio streams, over TCP and a Unix socket at once.

Prints the TCP port, and then what became of some of its connections, a line each. The first line a client sends says
what the server is to do with it.
"""

import asyncio
import hashlib
import socket
import struct
import sys


def digest(data):
    return f"{len(data)} {hashlib.sha256(data).hexdigest()}"


def report(*words):
    print(*words, flush=True)


async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


async def lines(reader, writer, count):
    for i in range(int(count)):
        writer.write(f"line {i}\n".encode())
    await writer.drain()


async def upper(reader, writer):
    async for line in reader:
        writer.write(line.upper())


async def exactly(reader, writer, count):
    data = await reader.readexactly(int(count))
    writer.write(digest(data).encode() + b"\n")


async def summarise(reader, writer):
    data = await reader.read(-1)
    writer.write(digest(data).encode() + b"\n")


async def end_first(reader, writer):
    """Half-closes, and then reads what still comes."""
    writer.write(b"that is all from me\n")
    writer.write_eof()
    report("received", digest(await reader.read(-1)))


async def reset(reader, writer):
    """Replies, and resets the connection."""
    writer.write(b"the reply\nand more")
    await writer.drain()
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def flood(reader, writer):
    """Writes until it is told that nobody is there any more."""
    try:
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()
    except ConnectionError as error:
        report("flood ended", type(error).__name__)


async def deaf(reader, writer):
    """Reads nothing until it is told to by another client."""
    gate.clear()
    await gate.wait()
    report("received", digest(await reader.read(-1)))


async def listen(reader, writer):
    gate.set()


commands = {
    "echo": echo,
    "lines": lines,
    "upper": upper,
    "exactly": exactly,
    "summarise": summarise,
    "end-first": end_first,
    "reset": reset,
    "flood": flood,
    "deaf": deaf,
    "listen": listen,
}


async def serve(reader, writer):
    name, *args = (await reader.readline()).decode().split()
    try:
        await commands[name](reader, writer, *args)
    finally:
        writer.close()


async def main():
    global gate
    gate = asyncio.Event()
    # a small limit, so that both sides have to hold back
    tcp = await asyncio.start_server(serve, "127.0.0.1", 0, limit=4096)
    unix = await asyncio.start_unix_server(serve, sys.argv[1], limit=4096)
    report(tcp.sockets[0].getsockname()[1])
    async with tcp, unix:
        await asyncio.gather(tcp.serve_forever(), unix.serve_forever())


asyncio.run(main())
