"""RFC 6455: a server's handling of handshakes and frames, each case octet for octet over a real socket."""

from __future__ import annotations

import socket
import struct
from typing import BinaryIO

from craftnet.contract.close_codes import CloseCode
from craftnet.tests.support.live import LiveTestCase, in_thread, token
from craftnet.tests.support.samples import PLAYER

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
PROTOCOL_ERROR, BAD_PAYLOAD = 1002, 1007
MASK = b"\x11\x22\x33\x44"

Frame = tuple[int, bytes]


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, mask: bytes | None = MASK) -> bytes:
    """A client's frame; masked unless `mask` is None."""
    size = len(payload)
    masked = 0x80 if mask is not None else 0
    if size < 126:
        length = bytes((masked | size,))
    elif size < 65536:
        length = bytes((masked | 126,)) + size.to_bytes(2, "big")
    else:
        length = bytes((masked | 127,)) + size.to_bytes(8, "big")
    if mask is not None:
        payload = bytes(octet ^ mask[index % 4] for index, octet in enumerate(payload))
    return bytes((fin << 7 | rsv << 4 | opcode,)) + length + (mask or b"") + payload


def close(code: int, reason: bytes = b"") -> bytes:
    """A close frame."""
    return frame(CLOSE, struct.pack("!H", code) + reason)


def read(stream: BinaryIO) -> Frame:
    """The next frame of a server: opcode and payload. Fails on one that is masked, or split."""
    first, second = stream.read(2)
    if not first & 0x80 or first & 0x70 or second & 0x80:
        raise AssertionError(f"no frame of a server: {first:#x} {second:#x}")
    size = int.from_bytes(stream.read(2), "big") if second == 126 else second
    return first & 0x0F, stream.read(size)


HANDSHAKE = {
    "Host": "craft.example",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}

DEFLATE = "permessage-deflate"

HANDSHAKES: tuple[tuple[str, dict[str, str | None], bytes], ...] = (
    # section; fields that are other than above, None for those that are left out; how the answer begins.
    ("1.3", {}, b"101 "),
    ("4.2.1 item 2", {"Host": None}, b"400 "),
    ("4.2.1 item 3", {"Upgrade": "h2c, WebSocket"}, b"101 "),
    ("4.2.1 item 4", {"Connection": "keep-alive,UPGRADE"}, b"101 "),
    ("4.2.1 item 5", {"Sec-WebSocket-Key": None}, b"400 "),
    ("4.2.1 item 5", {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ"}, b"400 "),
    ("4.2.1 item 5", {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Key: x"}, b"400 "),
    ("4.2.1 item 6, 4.4", {"Sec-WebSocket-Version": None}, b"426 "),
    ("4.2.1 item 6, 4.4", {"Sec-WebSocket-Version": "8"}, b"426 "),
    ("4.2.1 item 6, 4.4", {"Sec-WebSocket-Version": "14"}, b"426 "),
    ("4.2.1 item 6, 4.4", {"Sec-WebSocket-Version": "x\u00b2"}, b"426 "),
    ("4.2.1 item 6, 11.3.5", {"Sec-WebSocket-Version": "13\r\nSec-WebSocket-Version: 8"}, b"426 "),
    ("4.1 item 10", {"Sec-WebSocket-Protocol": "craftnet.json.v1, craftnet.json.v1"}, b"400 "),
    ("4.1 item 10", {"Sec-WebSocket-Protocol": "craftnet.json.v1, a/b"}, b"400 "),
    ("4.1 item 10", {"Sec-WebSocket-Protocol": ",, craftnet.json.v1 ,"}, b"101 "),
    ("11.3.4", {"Sec-WebSocket-Protocol": "other\r\nSec-WebSocket-Protocol: craftnet.json.v1"}, b"101 "),
    ("9.1", {"Sec-WebSocket-Extensions": 'unheard-of; a; b=c; d="e"'}, b"101 "),
    ("9.1", {"Sec-WebSocket-Extensions": "unheard-of\r\nSec-WebSocket-Extensions: another"}, b"101 "),
    ("9.1", {"Sec-WebSocket-Extensions": "; a=b"}, b"400 "),
    ("9.1", {"Sec-WebSocket-Extensions": "a=b"}, b"400 "),
    ("9.1", {"Sec-WebSocket-Extensions": ""}, b"400 "),
    ("RFC 7692 section 7.1", {"Sec-WebSocket-Extensions": f"{DEFLATE}; server_max_window_bits=99"}, b"101 "),
    ("RFC 7692 section 7.1", {"Sec-WebSocket-Extensions": f"{DEFLATE}; no_such_parameter, {DEFLATE}"}, b"101 "),
    ("RFC 7692 section 7.1", {"Sec-WebSocket-Extensions": f"{DEFLATE}; client_max_window_bits=x"}, b"101 "),
    ("RFC 6454 section 7.3", {"Origin": "https://a.example\r\nOrigin: https://b.example"}, b"400 "),
    ("RFC 9110 section 7.8", {"Expect": "100-continue"}, b"100 Continue\r\n\r\nHTTP/1.1 101 "),
)


def read_head(connection: socket.socket) -> bytes:
    """Everything up to and with the first empty line."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        octet = connection.recv(1)
        if not octet:
            raise AssertionError(head)
        head += octet
    return head


class HandshakeTests(LiveTestCase):
    """Handshakes, and their answers."""

    def ask(self, fields: dict[str, str | None], line: str = f"GET /ws/queue/{PLAYER} HTTP/1.1") -> bytes:
        """The head of the answer to one handshake, after 100 Continue if there is one."""
        host, _, port = self.url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            merged = {**HANDSHAKE, "Authorization": f"Bearer {token()}", **fields}
            lines = [line, *(f"{name}: {value}" for name, value in merged.items() if value is not None)]
            connection.sendall("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n")
            head = read_head(connection)
            return head + read_head(connection) if b" 100 " in head else head

    async def test_what_it_must_hold(self) -> None:
        for section, fields, begins in HANDSHAKES:
            head = await in_thread(self.ask, fields)
            self.assertTrue(head.startswith(b"HTTP/1.1 " + begins), (section, fields, head))
            if begins == b"426 ":
                self.assertIn(b"\r\nSec-WebSocket-Version: 13\r\n", head)
                self.assertIn(b"\r\nUpgrade: websocket\r\n", head)  # RFC 9110 section 15.5.22.

    async def test_request_line(self) -> None:
        """Section 4.2.1 item 1: GET, HTTP/1.1 or higher, a path or an http URL. Anything else is no handshake."""
        for line, status in (
            (f"GET /ws/queue/{PLAYER} HTTP/1.2", 101),
            (f"GET http://other.example/ws/queue/{PLAYER} HTTP/1.1", 101),
            (f"GET /ws/queue/{PLAYER} HTTP/1.0", 426),
            (f"POST /ws/queue/{PLAYER} HTTP/1.1", 405),
            (f"GET /ws/queue/{PLAYER}#fragment HTTP/1.1", 400),
        ):
            self.assertIn(b" %d " % status, (await in_thread(self.ask, {}, line)).splitlines()[0], line)

    async def test_tokens_are_not_repeated(self) -> None:
        """Whatever is wrong with the header fields that hold them."""
        bearer = token()
        for offered, status in (
            (f"craftnet.json.v1, bearer.{bearer}, bearer.x", b"401 "),
            (f"craftnet.json.v1, bearer.{bearer}, bearer.{bearer}", b"400 "),
            (f"craftnet.json.v1, bearer.{bearer}/", b"400 "),
            (f"bearer.{bearer}", b"400 "),
        ):
            octets = "\r\n".join(
                (
                    f"GET /ws/queue/{PLAYER} HTTP/1.1",
                    *(f"{name}: {value}" for name, value in HANDSHAKE.items()),
                    f"Sec-WebSocket-Protocol: {offered}\r\n\r\n",
                )
            )
            answer = await in_thread(self.send_raw, octets.encode())
            self.assertTrue(answer.startswith(b"HTTP/1.1 " + status), answer)
            self.assertNotIn(bearer.encode(), answer)

    async def test_answer(self) -> None:
        """Section 4.2.2 item 5: the key is proven; no extension and no subprotocol that was not asked for."""
        head = (await in_thread(self.ask, {"Sec-WebSocket-Extensions": DEFLATE})).lower()
        self.assertIn(b"\r\nsec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n", head)
        self.assertIn(b"\r\nupgrade: websocket\r\n", head)
        self.assertIn(b"\r\nconnection: upgrade\r\n", head)
        self.assertNotIn(b"sec-websocket-extensions", head)
        self.assertNotIn(b"sec-websocket-protocol", head)
        offer = f"craftnet.json.v1, bearer.{token()}"
        head = await in_thread(self.ask, {"Authorization": None, "Sec-WebSocket-Protocol": offer})
        self.assertIn(b"\r\nSec-WebSocket-Protocol: craftnet.json.v1\r\n", head)
        self.assertNotIn(b"bearer.", head)


class FramingTests(LiveTestCase):
    """A queue feed, which is silent until something happens."""

    def converse(self, *pieces: bytes) -> list[Frame]:
        """Opens the feed, sends these, piece by piece, and reads up to the close frame, and the end of TCP.

        The client answers no close frame, and yet the server disconnects at once (sections 7.1.1 and 7.1.7).
        """
        host, _, port = self.url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sendall(
                f"GET /ws/queue/{PLAYER} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
                f"Authorization: Bearer {token()}\r\n\r\n".encode()
            )
            head = read_head(connection)
            if not head.startswith(b"HTTP/1.1 101 "):
                raise AssertionError(head)
            for piece in pieces:
                connection.sendall(piece)
            found: list[Frame] = []
            with connection.makefile("rb") as stream:
                while not found or found[-1][0] != CLOSE:
                    found.append(read(stream))
                if stream.read():
                    raise AssertionError("something follows the close frame")
            return found

    async def closes_with(self, code: int | None, *pieces: bytes) -> list[Frame]:
        """After these the server sends one close frame with this code, last; answers what came before it."""
        *before, (opcode, payload) = await in_thread(self.converse, *pieces)
        self.assertEqual(opcode, CLOSE, pieces)
        self.assertEqual(struct.unpack("!H", payload[:2])[0] if payload else None, code, pieces)
        payload[2:].decode()
        return before

    async def test_ping(self) -> None:
        """Section 5.5.3: with the same payload."""
        for payload in (b"", b"hello", b"\xff" * 125):
            before = await self.closes_with(1000, frame(PING, payload), close(1000))
            self.assertEqual(before, [(PONG, payload)])

    async def test_unsolicited_pong(self) -> None:
        """Section 5.5.3: no answer is expected."""
        self.assertEqual(await self.closes_with(1000, frame(PONG, b"x"), close(1000)), [])

    async def test_fragments(self) -> None:
        """Section 5.4: they are one message, which the feed does not take, however it is cut."""
        for pieces in (
            (frame(TEXT, b"he", fin=False), frame(CONTINUATION, b"llo")),
            (frame(TEXT, b"", fin=False), frame(CONTINUATION, b"", fin=False), frame(CONTINUATION, b"x")),
            (frame(BINARY, b"\xff", fin=False), frame(CONTINUATION, b"\xfe")),
            tuple(bytes((octet,)) for octet in frame(TEXT, b"octet by octet")),
        ):
            await self.closes_with(CloseCode.POLICY_VIOLATION, *pieces)

    async def test_control_frames_between_fragments(self) -> None:
        """Section 5.4: a ping is answered at once."""
        pieces = (
            frame(TEXT, b"a", fin=False),
            frame(PING, b"1"),
            frame(CONTINUATION, b"b", fin=False),
            frame(PING, b"2"),
        )
        before = await self.closes_with(1000, *pieces, close(1000))
        self.assertEqual(before, [(PONG, b"1"), (PONG, b"2")])

    async def test_messages_between_fragments(self) -> None:
        """Section 5.4: they must not be."""
        for opcode in (TEXT, BINARY):
            await self.closes_with(PROTOCOL_ERROR, frame(TEXT, b"a", fin=False), frame(opcode, b"b"))

    async def test_continuation_of_nothing(self) -> None:
        for fin in (True, False):
            await self.closes_with(PROTOCOL_ERROR, frame(CONTINUATION, b"x", fin=fin))

    async def test_control_frames_in_fragments(self) -> None:
        """Section 5.5: never."""
        for opcode in (CLOSE, PING, PONG):
            await self.closes_with(PROTOCOL_ERROR, frame(opcode, fin=False))

    async def test_long_control_frames(self) -> None:
        """Section 5.5: 125 octets are the most."""
        for opcode in (CLOSE, PING, PONG):
            await self.closes_with(PROTOCOL_ERROR, frame(opcode, b"x" * 126))

    async def test_not_masked(self) -> None:
        """Section 5.1."""
        for opcode in (TEXT, BINARY, CLOSE, PING, PONG):
            await self.closes_with(PROTOCOL_ERROR, frame(opcode, b"", mask=None))

    async def test_masked_with_nothing(self) -> None:
        """Section 5.3: a weak mask is the client's own affair."""
        before = await self.closes_with(1000, frame(PING, b"x", mask=bytes(4)), close(1000))
        self.assertEqual(before, [(PONG, b"x")])

    async def test_reserved_bits(self) -> None:
        """Section 5.2: no extension was agreed on, so none may be set."""
        for rsv in range(1, 8):
            await self.closes_with(PROTOCOL_ERROR, frame(TEXT, b"x", rsv=rsv))
        await self.closes_with(PROTOCOL_ERROR, frame(PING, rsv=4))

    async def test_reserved_opcodes(self) -> None:
        for opcode in (*range(3, 8), *range(11, 16)):
            await self.closes_with(PROTOCOL_ERROR, frame(opcode))

    async def test_bad_utf8(self) -> None:
        """Section 8.1: found as soon as it is certain, also across fragments."""
        for octets in (b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"ok\xe2\x82"):
            await self.closes_with(BAD_PAYLOAD, frame(TEXT, octets))
        await self.closes_with(BAD_PAYLOAD, frame(TEXT, b"\xe2", fin=False), frame(CONTINUATION, b"\x28\xa1"))
        await self.closes_with(BAD_PAYLOAD, frame(TEXT, b"\xf4\x90", fin=False))

    async def test_good_utf8_across_fragments(self) -> None:
        euro = "€".encode()
        await self.closes_with(
            CloseCode.POLICY_VIOLATION, frame(TEXT, euro[:1], fin=False), frame(CONTINUATION, euro[1:])
        )

    async def test_close_codes(self) -> None:
        """Section 7.4: those that may be sent are echoed, the others are none."""
        for code in (1000, 1001, 1003, 1007, 1011, 3000, 4999):
            await self.closes_with(code, close(code, b"bye"))
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535):
            await self.closes_with(PROTOCOL_ERROR, close(code))

    async def test_close_payloads(self) -> None:
        """Section 5.5.1: nothing, or a code and UTF-8."""
        ((opcode, payload),) = await in_thread(self.converse, frame(CLOSE))
        self.assertEqual((opcode, payload[:2]), (CLOSE, payload and struct.pack("!H", 1000)))
        await self.closes_with(PROTOCOL_ERROR, frame(CLOSE, b"\x03"))
        await self.closes_with(BAD_PAYLOAD, close(1000, b"\xff"))

    async def test_after_the_close(self) -> None:
        """Section 5.5.1: whatever follows is ignored."""
        self.assertEqual(await self.closes_with(1000, close(1000) + frame(PING, b"late") + frame(TEXT, b"later")), [])

    async def test_huge_lengths(self) -> None:
        """Section 5.2: refused from the header alone; the highest bit must not be set at all."""
        for size in (2**20, 2**31, 2**32, 2**62):
            await self.closes_with(CloseCode.MESSAGE_TOO_BIG, b"\x82\xff" + size.to_bytes(8, "big") + MASK)
        for size in (2**63, 2**64 - 1):
            await self.closes_with(PROTOCOL_ERROR, b"\x82\xff" + size.to_bytes(8, "big") + MASK)

    async def test_long_in_fragments(self) -> None:
        """Many small ones are no way around the limit."""
        pieces = [frame(BINARY, bytes(4000), fin=False), *[frame(CONTINUATION, bytes(4000), fin=False)] * 5]
        await self.closes_with(CloseCode.MESSAGE_TOO_BIG, *pieces)

    async def test_lengths_in_the_wrong_form(self) -> None:
        """Section 5.2: the shortest form must be used."""
        for octets in (
            b"\x82\xfe" + (125).to_bytes(2, "big"),
            b"\x82\xff" + (125).to_bytes(8, "big"),
            b"\x82\xff" + (65535).to_bytes(8, "big"),
        ):
            await self.closes_with(PROTOCOL_ERROR, octets + MASK)
