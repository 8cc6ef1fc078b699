"""asyncio streams with TLS, as the server: one port that speaks it from the start, one that is upgraded by start_tls.

Arguments: certificate, key, authority, and `require` if clients must show a certificate. Prints the two ports, then what
it was told on connections that ask for it.
"""

import asyncio
import hashlib
import ssl
import sys

certificate, key, authority, *rest = sys.argv[1:]
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority)
context.load_cert_chain(certificate, key)
context.set_alpn_protocols(["private"])
if "require" in rest:
    context.verify_mode = ssl.CERT_REQUIRED


def say(text):
    print(text, flush=True)


async def echo(reader, writer):
    while line := await reader.readline():
        writer.write(line)
        await writer.drain()


async def serve(reader, writer):
    try:
        command, *arguments = (await reader.readline()).decode().split()
        if command == "echo":
            await echo(reader, writer)
        elif command == "info":
            session = writer.get_extra_info("ssl_object")
            peer = writer.get_extra_info("peercert")
            subject = peer["subject"][0][0][1] if peer else "nobody"
            writer.write(f"{session.version()} {session.selected_alpn_protocol()} {subject}\n".encode())
        elif command == "take":
            data = await reader.readexactly(int(arguments[0]))
            writer.write(f"{len(data)} {hashlib.sha256(data).hexdigest()}\n".encode())
        elif command == "give":
            writer.write(bytes(range(256)) * (int(arguments[0]) // 256))
            await writer.drain()
        elif command == "cut":
            # what was written goes out, the close_notify does not
            writer.write(b"the last line\n")
            await writer.drain()
            writer.transport.abort()
        elif command == "read":
            data = await reader.read()
            say(f"read {data.decode()}")
        writer.close()
        await writer.wait_closed()
        say("closed")
    except Exception as error:
        say(f"{type(error).__name__} {error}")


async def upgrade(reader, writer):
    try:
        writer.write(b"220 ready\r\n")
        while line := (await reader.readline()).decode().strip():
            if line == "STARTTLS":
                writer.write(b"220 go ahead\r\n")
                await writer.start_tls(context)
                await serve(reader, writer)
                return
            writer.write(f"250 {line}\r\n".encode())
    except Exception as error:
        say(f"{type(error).__name__} {error}")


async def main():
    secure = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    plain = await asyncio.start_server(upgrade, "127.0.0.1", 0)
    say(secure.sockets[0].getsockname()[1])
    say(plain.sockets[0].getsockname()[1])
    await asyncio.gather(secure.serve_forever(), plain.serve_forever())


asyncio.run(main())
