"""asyncio streams, on its own event loop or, with --uvloop, on that one."""

import asyncio
import gc
import json
import struct
import sys

BLOCK = bytes((i * 31 + (i >> 8)) & 255 for i in range(65536))
PAGE = 4096


async def raw(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


async def line(reader, writer):
    while data := await reader.readline():
        writer.write(data)
        await writer.drain()


async def frame(reader, writer):
    while True:
        header = await reader.readexactly(4)
        body = await reader.readexactly(int.from_bytes(header, "big"))
        writer.write(header + body)
        await writer.drain()


async def sink(reader, writer):
    while True:
        length = left = int.from_bytes(await reader.readexactly(8), "big")
        total = 0
        while left > 0:
            data = await reader.read(min(left, 65536))
            if not data:
                return
            total += sum(data[-(length - left) % PAGE :: PAGE])
            left -= len(data)
        writer.write(struct.pack(">QI", length, total & 0xFFFFFFFF))
        await writer.drain()


async def source(reader, writer):
    while True:
        left = int.from_bytes(await reader.readexactly(8), "big")
        while left > 0:
            part = BLOCK if left >= len(BLOCK) else BLOCK[:left]
            left -= len(part)
            writer.write(part)
            await writer.drain()


async def main(service):
    async def serve(reader, writer):
        try:
            await service(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=4096)
    over = asyncio.Event()

    def asked():
        # an empty line is the question for memory, the end of input the end
        if not sys.stdin.readline():
            over.set()
            return
        gc.collect()
        with open("/proc/self/statm") as statm:
            rss = int(statm.read().split()[1]) * 4096
        print("memory", json.dumps({"rss": rss}), flush=True)

    asyncio.get_running_loop().add_reader(sys.stdin, asked)
    print("listening", server.sockets[0].getsockname()[1], flush=True)
    await over.wait()


if "--uvloop" in sys.argv:
    import uvloop

    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())

asyncio.run(main({"raw": raw, "line": line, "frame": frame, "sink": sink, "source": source}[sys.argv[1]]))
