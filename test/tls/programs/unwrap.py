"""A client that goes from plain text to TLS and back, with Python's ssl module.

Arguments: the port, the authority to trust, and who ends TLS: `we` or `they`. Prints what it reads.
"""

import socket
import ssl
import sys

port, authority, who = sys.argv[1:]
context = ssl.create_default_context(cafile=authority)


def say(text):
    print(text, flush=True)


def line(sock):
    out = b""
    while not out.endswith(b"\n"):
        byte = sock.recv(1)
        if not byte:
            break
        out += byte
    return out.decode().rstrip("\n")


plain = socket.create_connection(("127.0.0.1", int(port)))
plain.settimeout(8)
plain.sendall(b"STARTTLS\n")
say(line(plain))
secure = context.wrap_socket(plain, server_hostname="localhost")
secure.sendall(b"a secret\n")
say(line(secure))
if who == "they":
    # the end of TLS, as it reads
    assert secure.recv(1) == b""
plain = secure.unwrap()
plain.sendall(b"in plain text\n")
say(line(plain))
plain.shutdown(socket.SHUT_WR)
say(repr(plain.recv(1)))
plain.close()
