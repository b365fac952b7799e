from __future__ import annotations

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from craftnet.contract.http_bodies import UdpConnectResponse
from craftnet.protocols.udp.core.compression import COMPRESSIONS
from craftnet.protocols.udp.core.negotiation import Agreement, agree, agreed


class AgreementTests(SynchronousTestCase):
    """The results of …/connect."""

    def test_the_first_that_is_there(self) -> None:
        lz4 = COMPRESSIONS["lz4"]
        for supported, wanted in (
            (["lz4"], lz4),
            (["lz4", "zstd"], lz4),
            (["zstd", "lz4"], COMPRESSIONS.get("zstd", lz4)),
            (["zstd", "none", "lz4"], COMPRESSIONS.get("zstd")),
            (["none", "lz4"], None),
            (["none"], None),
            ([], None),
        ):
            self.assertIs(agree(supported, 4096, 1200).compression, wanted, supported)

    def test_sizes(self) -> None:
        lz4 = COMPRESSIONS["lz4"]
        for asked, path, datagram, content in (
            (64, 1200, 64, 64),
            (4096, 1200, 1200, 4096),
            (65_536, 1200, 1200, 65_536),
            (65_536, 65_507, 65_507, 65_536),
            (4096, 64, 64, 4096),
        ):
            self.assertEqual(agree(["lz4"], asked, path), Agreement(datagram, content, lz4))
            self.assertEqual(agree(["none"], asked, path), Agreement(datagram, datagram))

    def test_the_client_reads_the_same(self) -> None:
        for answer, wanted in (
            ({"compression_enabled": False}, Agreement(4096, 4096)),
            ({"compression_enabled": True, "compression": "lz4"}, Agreement(4096, 4096, COMPRESSIONS["lz4"])),
        ):
            shape = {"session_token": "x", "server_endpoint": "h:1", "heartbeat_interval": 5000, **answer}
            response = msgspec.convert({**shape, "negotiated_packet_size": 4096}, UdpConnectResponse)
            self.assertEqual(agreed(response), wanted)
