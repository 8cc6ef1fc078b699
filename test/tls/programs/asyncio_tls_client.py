"""asyncio streams with TLS, as the client of 127.0.0.1.

Arguments: what to do, the port, the authority to trust, and a certificate with its key to show, if any. Prints what came
of it.
"""

import asyncio
import hashlib
import ssl
import sys

command, port, authority, *mine = sys.argv[1:]
context = ssl.create_default_context(cafile=authority)
context.set_alpn_protocols(["private"])
if mine:
    context.load_cert_chain(*mine)


def say(text):
    print(text, flush=True)


def connect(**options):
    return asyncio.open_connection("127.0.0.1", int(port), ssl=context, server_hostname="localhost", **options)


async def lines():
    reader, writer = await connect()
    session = writer.get_extra_info("ssl_object")
    say(f"{session.version()} {session.selected_alpn_protocol()}")
    writer.write(b"one\ntwo\n")
    await writer.drain()
    for _ in range(2):
        say((await reader.readline()).decode().rstrip())
    writer.close()
    await writer.wait_closed()
    say("closed")


async def digest():
    reader, writer = await connect()
    data = bytes(range(256)) * 8192
    writer.write(data)
    await writer.drain()
    answer = await reader.readexactly(len(data))
    say(hashlib.sha256(data).hexdigest() == hashlib.sha256(answer).hexdigest())
    writer.close()
    await writer.wait_closed()


async def until_end():
    reader, writer = await connect()
    data = await reader.read()
    say(f"read {data.decode()}")
    writer.close()
    await writer.wait_closed()
    say("closed")


async def start_tls():
    reader, writer = await asyncio.open_connection("127.0.0.1", int(port))
    say((await reader.readline()).decode().rstrip())
    writer.write(b"STARTTLS\r\n")
    await writer.drain()
    say((await reader.readline()).decode().rstrip())
    await writer.start_tls(context, server_hostname="localhost")
    say(writer.get_extra_info("ssl_object").version())
    writer.write(b"a secret\n")
    await writer.drain()
    say((await reader.readline()).decode().rstrip())
    writer.close()
    await writer.wait_closed()
    say("closed")


async def main():
    try:
        await {"lines": lines, "digest": digest, "until_end": until_end, "start_tls": start_tls}[command]()
    except Exception as error:
        say(f"{type(error).__name__} {error}")


asyncio.run(main())
