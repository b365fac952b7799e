"""Random changes of a corpus, before and after decryption: the result is a refusal, or means what it says.

python -m craftnet.tests.protocols.udp.test_fuzz 60 7   # seconds and a seed; adds new inputs to protocol/corpus.json
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from math import inf
from pathlib import Path
from random import Random
from uuid import UUID

from twisted.trial.unittest import SkipTest, SynchronousTestCase

import craftnet
from craftnet.errors import BadDatagram
from craftnet.protocols.udp.client.connection import ClientConnection
from craftnet.protocols.udp.core.compression import COMPRESSIONS
from craftnet.protocols.udp.core.keys import HandshakeKey
from craftnet.protocols.udp.core.reassembly import Reassembly
from craftnet.protocols.udp.server.connection import ServerConnection
from craftnet.protocols.udp.server.dispatcher import ConnectionOpened
from craftnet.protocols.wire import codec
from craftnet.protocols.wire.layouts import MAC_SIZE
from craftnet.protocols.wire.records import CloseReason, DatagramKind
from craftnet.tests.support.samples import NOW, OTHER_SESSION, running
from craftnet.tests.support.udp_lab import CLIENT, OTHER_ADDRESS, Lab, datagrams, table

CORPUS = Path(craftnet.__file__).parent.parent / "protocol" / "corpus.json"

ROUNDS = 15_000
"""Of each target, in the suite."""

MOST = 4096
"""Octets of the longest content of a message."""

Target = Callable[[bytes], str]
"""Takes an input; gives a word or two for what became of it, by which new behaviour is known."""


_NO_DIGITS = str.maketrans("", "", "0123456789")


def _codec(decode: Callable[[bytes], object], encode: Callable[[object], bytes]) -> Target:
    def run(octets: bytes) -> str:
        try:
            value = decode(octets)
        except BadDatagram as error:
            return f"{error.outcome}: {str(error).translate(_NO_DIGITS)}"
        assert encode(value) == octets, f"{octets.hex()} is written otherwise"
        return "taken: " + ", ".join(sorted({type(part).__name__ for part in value} if isinstance(value, list) else ""))

    return run


def _before_decryption() -> Target:
    """The server, from an address it knows and from one it does not."""
    lab = Lab()
    _, peer = lab.connect(lab.ticket())
    name = peer.connection_id.to_bytes(4, "big")

    def run(octets: bytes) -> str:
        lab.counted.clear()
        for datagram in (octets, octets[:1] + name + octets[5:]):
            for address in (CLIENT, OTHER_ADDRESS):
                assert lab.send(datagram, NOW, address) == [], octets.hex()
        assert peer.finished is None
        return ", ".join(sorted(lab.counted))

    return run


def _client_before_decryption() -> Target:
    """A client that is connected, and one that waits for its CHALLENGE."""
    lab = Lab()
    connected, _ = _connected(lab, NOW)
    connecting = lab.client_connection(lab.ticket())
    connecting.start(NOW)
    counted: list[str] = []
    clients = [(client, client.token.connection_id.to_bytes(4, "big")) for client in (connected, connecting)]
    for client, _ in clients:
        client.count = counted.append

    def run(octets: bytes) -> str:
        counted.clear()
        for client, name in clients:
            for datagram in (octets, octets[:1] + name + octets[5:]):
                assert client.receive(datagram, NOW) == ([], []), octets.hex()
            assert client.over is None
        return ", ".join(sorted(set(counted)))

    return run


def _differing(right: bytes, octets: bytes) -> bytes:
    """The valid octets, changed: the number missing at the end (1 byte), then the flipped bits from the start on."""
    kept, flipped = right[: len(right) - octets[0]] if octets else right, octets[1:]
    size = max(len(kept), len(flipped))
    one, other = (int.from_bytes(each.ljust(size, b"\0"), "big") for each in (kept, flipped))
    return (one ^ other).to_bytes(size, "big")


def _handshake_to_server() -> Target:
    """The server, with a client's key: HELLO or RESPONSE (1 byte), then the differences from the valid one."""
    lab = Lab()
    ticket = lab.ticket(expires=inf)
    key, clock = HandshakeKey.of(ticket.token.secret), NOW
    right: list[bytes] = []

    def begin() -> None:
        nonlocal clock, right
        clock += 0.01  # the next connection needs a newer cookie.
        client = lab.client_connection(ticket)
        (hello,) = client.start(clock).datagrams
        (challenge,) = datagrams(lab.send(hello, clock))
        (response,) = client.receive(challenge, clock).datagrams
        right = [hello[:-MAC_SIZE], response[:-MAC_SIZE]]

    begin()

    def run(octets: bytes) -> str:
        lab.counted.clear()
        which = octets[0] % 2 if octets else 0
        # Of its kind always: as another it would be forged, and who forges is not read for a while.
        content = right[which][:1] + _differing(right[which][1:], octets[1:])
        effects = lab.send(key.sign(content), clock)
        outcome = ", ".join(lab.counted)
        if any(isinstance(effect, ConnectionOpened) for effect in effects):
            assert content == right[1], f"{content.hex()} opens a connection"
            begin()
            return f"opened: {outcome}"
        if effects:
            (challenge,) = datagrams(effects)
            assert len(challenge) < len(content), "more is sent than was received"
            assert codec.encode_hello(codec.decode_hello(content)) == content, f"{content.hex()} is written otherwise"
        return f"{which}: {outcome}"

    return run


def _handshake_to_client() -> Target:
    """A client in the handshake, with the server's key: the differences from the valid CHALLENGE."""
    lab = Lab()
    ticket = lab.ticket(expires=inf)
    key, counted = HandshakeKey.of(ticket.token.secret), list[str]()

    def connecting() -> tuple[ClientConnection, bytes]:
        client = lab.client_connection(ticket)
        client.count = counted.append
        (hello,) = client.start(NOW).datagrams
        (challenge,) = datagrams(lab.send(hello))
        return client, challenge[:-MAC_SIZE]

    client, right = connecting()

    def run(octets: bytes) -> str:
        nonlocal client, right
        counted.clear()
        content = _differing(right, octets)
        output = client.receive(key.sign(content), NOW)
        assert output.events == [] and client.over is None
        if output.datagrams:
            (response,) = output.datagrams
            assert codec.encode_challenge(codec.decode_challenge(content)) == content, content.hex()
            assert content[5:21] == right[5:21], "it was for another HELLO"
            assert response[5:61] == content[5:61], "what it says was not copied"
            client, right = connecting()
        return ", ".join(counted)

    return run


def _connected(lab: Lab, now: float) -> tuple[ClientConnection, ServerConnection]:
    """A connection with three sessions, the first of which was sent."""
    ticket = lab.ticket(compression="lz4", packet_size=MOST, expires=inf, now=now)
    lab.join(ticket, OTHER_SESSION, expires=inf, now=now)
    lab.join(ticket, UUID(int=3), expires=inf, now=now)
    client, peer = lab.connect(ticket, now)
    for state in (running(), table()):
        lab.update(peer, state, now)
    for datagram in datagrams(lab.endpoint.tick(now)):
        client.receive(datagram, now)
    return client, peer


def _after_decryption(*, by_server: bool) -> Target:
    """One side, from the other's real keys: the first byte is the kind, the rest the body."""
    lab = Lab()
    client, peer = _connected(lab, NOW)
    kinds = [kind for kind in DatagramKind if kind > DatagramKind.RESPONSE and (kind is not DatagramKind.CLOSE)]
    clock = NOW

    def run(octets: bytes) -> str:
        nonlocal clock, client, peer
        clock += 0.02  # slow enough not to be a flood.
        if peer.closing:  # the client has left every session.
            client, peer = _connected(lab, clock)
        kind = kinds[octets[0] % len(kinds)] if octets else DatagramKind.STATE
        channel = peer.channel if by_server else client.channel
        assert channel is not None
        datagram = channel.seal(kind, octets[1:])
        counted: list[str] = []
        if by_server:
            client.count = counted.append
            client.receive(datagram, clock)
            assert client.over is None, client.over
        else:
            lab.counted.clear()
            lab.send(datagram, clock)
            assert peer.finished in (None, CloseReason.SILENT), peer.finished
            counted = sorted(lab.counted)
        return f"{kind.name}: {', '.join(counted)}"

    return run


def _messages() -> Target:
    """The reassembly of messages: an algorithm (1 byte), then parts: steps of the sequence (1), length (1), body."""

    def run(octets: bytes) -> str:
        algorithm = list(COMPRESSIONS.values())[octets[0] % len(COMPRESSIONS)] if octets else COMPRESSIONS["lz4"]
        reassembly, sequence, index, outcomes = Reassembly(MOST), 1, 1, list[str]()
        while index + 2 <= len(octets):
            sequence += octets[index]
            body = octets[index + 2 : index + 2 + octets[index + 1]]
            index += 2 + len(body)
            try:
                fragment = codec.decode_fragment(body)
                assert codec.encode_fragment(fragment) == body
                compressed = reassembly.take(fragment, sequence)
                if compressed is not None:
                    assert len(compressed.octets) < compressed.size <= MOST and compressed.sequence <= sequence
                    assert len(algorithm.decompress(compressed.octets, compressed.size)) == compressed.size
                outcomes.append("part" if compressed is None else "whole")
            except BadDatagram as error:
                outcomes.append(error.outcome)
            assert reassembly.kept < MOST, "too much is kept"
        return ", ".join(outcomes[-2:])

    return run


def targets() -> dict[str, Target]:
    """All targets, each with its own connection where it needs one."""
    return {
        "state": _codec(codec.decode_state, lambda records: b"".join(map(codec.encode_state_record, records))),  # type: ignore[call-overload]  # it is a list of records.
        "progress": _codec(codec.decode_progress, codec.encode_progress),  # type: ignore[arg-type]  # what was decoded.
        "materials": _codec(codec.decode_materials, codec.encode_materials),  # type: ignore[arg-type]  # the same.
        "datagram": _before_decryption(),
        "client": _after_decryption(by_server=True),
        "server": _after_decryption(by_server=False),
        "messages": _messages(),
        "client_datagram": _client_before_decryption(),
        "server_handshake": _handshake_to_server(),
        "client_handshake": _handshake_to_client(),
    }


def mutated(octets: bytes, random: Random) -> bytes:
    """A few changes of the kinds that find faults: bits, bytes at the edges, cuts, doubles."""
    changed = bytearray(octets)
    for _ in range(random.randrange(1, 5)):
        index = random.randrange(len(changed) + 1)
        match random.randrange(6):
            case 0 if changed:
                changed[index - 1] ^= 1 << random.randrange(8)
            case 1 if changed:
                changed[index - 1] = random.choice([0, 1, 0x7F, 0x80, 0xFF, random.randrange(256)])
            case 2:
                del changed[index:]
            case 3:
                changed[index:index] = random.randbytes(random.randrange(1, 9))
            case 4:
                changed += changed[index:]
            case _:
                del changed[index : index + random.randrange(1, 9)]
    return bytes(changed[:1300])


class FuzzTests(SynchronousTestCase):
    """A bounded run, always the same."""

    def setUp(self) -> None:
        if not CORPUS.exists():
            raise SkipTest("not run from the repository")
        self.corpus: dict[str, list[str]] = json.loads(CORPUS.read_text(encoding="utf-8"))

    def _fuzz(self, name: str) -> None:
        random, target = Random(name), targets()[name]
        seeds = [bytes.fromhex(octets) for octets in self.corpus[name]]
        seen = {target(octets) for octets in seeds}
        self.assertGreater(len(seen), 1)
        for _ in range(ROUNDS):
            target(mutated(random.choice(seeds), random))

    def test_state(self) -> None:
        self._fuzz("state")

    def test_posted_progress(self) -> None:
        self._fuzz("progress")

    def test_posted_materials(self) -> None:
        self._fuzz("materials")

    def test_before_decryption(self) -> None:
        self._fuzz("datagram")

    def test_client_before_decryption(self) -> None:
        self._fuzz("client_datagram")

    def test_handshake_to_server(self) -> None:
        self._fuzz("server_handshake")

    def test_handshake_to_client(self) -> None:
        self._fuzz("client_handshake")

    def test_client_after_decryption(self) -> None:
        self._fuzz("client")

    def test_messages(self) -> None:
        self._fuzz("messages")

    def test_server_after_decryption(self) -> None:
        self._fuzz("server")


def main(seconds: float, seed: int) -> None:
    """Look for inputs that behave as none of the corpus does, and add them; each seed looks elsewhere."""
    corpus = json.loads(CORPUS.read_text(encoding="utf-8"))
    random = Random(seed)
    for name, target in targets().items():
        seen = {target(bytes.fromhex(octets)) for octets in corpus[name]}
        until = time.monotonic() + seconds / len(targets())
        while time.monotonic() < until:
            octets = mutated(bytes.fromhex(random.choice(corpus[name])), random)
            behaviour = target(octets)
            if behaviour not in seen and len(octets) < 600:
                seen.add(behaviour)
                corpus[name].append(octets.hex())
        print(f"{name}: {len(corpus[name])} inputs, {len(seen)} behaviours")
    CORPUS.write_text(json.dumps(corpus, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]))
