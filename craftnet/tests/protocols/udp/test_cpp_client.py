"""The protocols as clients/cpp speaks them: a core in C++17 for game clients."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.interfaces import ITCPTransport
from twisted.internet.utils import getProcessOutputAndValue
from twisted.protocols.portforward import ProxyFactory, ProxyServer
from twisted.trial.unittest import SkipTest, SynchronousTestCase, TestCase

from craftnet.tests.support.client_process import (
    CLIENT_SETTINGS,
    RENEWING_SETTINGS,
    Event,
    changed,
    happened,
    short,
    start_with_materials,
)
from craftnet.tests.support.cpp import DIRECTORY, ROOT, CppClient, built
from craftnet.tests.support.eventually import until
from craftnet.tests.support.live import LiveTestCase
from craftnet.tests.support.samples import IRON, SESSION
from craftnet.tests.support.udp_relay import RelayedTestCase


class CuttableRelay(ProxyFactory):
    """A TCP relay to a port of this machine, whose connections a test cuts."""

    def __init__(self, port: int) -> None:
        super().__init__("127.0.0.1", port)
        self.noisy = False
        self._ends: list[ProxyServer] = []

    def buildProtocol(self, addr: Any) -> Any:
        """See `IProtocolFactory`."""
        end = super().buildProtocol(addr)
        self._ends.append(cast(ProxyServer, end))
        return end

    def cut(self) -> None:
        """Abort every connection."""
        for end in self._ends:
            if end.transport is not None:
                cast(ITCPTransport, end.transport).abortConnection()
        self._ends.clear()


class CoreTests(TestCase):
    """Tests without a server."""

    timeout = 600

    async def test_core(self) -> None:
        """The core's own tests, and all of vectors.json."""
        environment = {**os.environ, "CRAFTNET_VECTORS": str(ROOT / "protocol" / "vectors.json")}
        output, errors, status = await getProcessOutputAndValue(str(built() / "craftnet-tests"), [], environment)
        self.assertEqual(status, 0, (output + errors).decode())


class SourceTests(SynchronousTestCase):
    """The core does not depend on an operating system."""

    def test_headers(self) -> None:
        """No sockets, clocks, threads, iostreams; the libraries are behind their interfaces."""
        standard = {
            *("array", "cmath", "cstddef", "cstdint", "cstring", "memory", "new"),
            *("string", "string_view", "type_traits", "utility", "vector"),
        }
        for path in [*DIRECTORY.glob("src/*.cpp"), *DIRECTORY.glob("include/craftnet/*.h")]:
            libraries = {"openssl": {"openssl/evp.h", "openssl/hmac.h", "openssl/rand.h"}, "liblz4": {"lz4.h"}}
            included = set(re.findall(r"#include <(.+)>", path.read_text("utf-8")))
            self.assertLessEqual(included, standard | libraries.get(path.stem, set()), path.name)

    def test_symbols(self) -> None:
        """The core calls nothing of the system: no sockets, clocks, threads, files, streams or exceptions."""
        if shutil.which("nm") is None:
            raise SkipTest("nm is not installed")
        listed = subprocess.run(
            ["nm", "-DuC", built() / "libcraftnet-size.so"], capture_output=True, text=True, check=True
        )
        called = {line.split(maxsplit=1)[1].partition("@")[0] for line in listed.stdout.splitlines() if " U " in line}
        for name in sorted(called):
            self.assertNotRegex(
                name,
                r"socket|recv|sendto|poll|select|getaddrinfo|time|clock|chrono|pthread|thread|mutex|open|write|read$"
                r"|printf|stream|cout|cerr|__cxa_throw|__gxx_personality|typeinfo",
            )
        self.assertIn("LZ4_decompress_safe", called)

    def test_guide(self) -> None:
        """The example in docs/how-to/cpp.md compiles, with what it leaves to the reader."""
        built()
        guide = (ROOT / "docs" / "how-to" / "cpp.md").read_text("utf-8")
        example = guide.partition("```cpp\n")[2].partition("```")[0]
        includes, _, code = example.rpartition('#include "craftnet/watch.h"\n')
        before = """
            struct Socket { std::size_t receive(std::uint8_t*); void send(int, const std::uint8_t*, std::size_t); };
            struct ProgressBar { void set(double); };
            Socket my_socket; ProgressBar progress_bar; std::uint8_t buffer[65536]; int addresses[8];
            craftnet::WatchSettings settings; craftnet::Time now();
            void perform(const craftnet::WatchRequest&); void show(const craftnet::WatchEvent&);
        """
        source = includes + '#include "craftnet/watch.h"\n' + before + code
        options = ["-fsyntax-only", "-std=c++17", "-Wall", "-Werror", f"-I{DIRECTORY / 'include'}", "-x", "c++", "-"]
        run = subprocess.run(["c++", *options], input=source, capture_output=True, text=True, check=False)
        self.assertEqual(run.returncode, 0, run.stderr)
        kinds = re.search(
            r"enum class Kind : std::uint8_t \{(.*?)\}", (DIRECTORY / "include/craftnet/watch.h").read_text(), re.S
        )
        assert kinds is not None
        for kind in re.findall(r"^ +(k\w+),", kinds[1], re.M):
            self.assertIn(f"`{kind}`", guide)

    def test_key_log_is_left_out(self) -> None:
        """The core that is measured is built as for players: nothing in it can write keys."""
        self.assertNotIn(b"key_made", (built() / "libcraftnet-size.so").read_bytes())
        self.assertIn(b"key_made", (built() / "craftnet-watch").read_bytes())


class CppClientTestCase(LiveTestCase):
    """A service, and what watches it."""

    settings = CLIENT_SETTINGS
    timeout = 300

    def setUp(self) -> None:
        """Build first: the service would wait."""
        built()
        super().setUp()

    def watch(self, *options: str, **environment: str) -> CppClient:
        """A client, started."""
        client = CppClient(self.url, *options, **environment)
        self.addCleanup(client.stop)
        return client

    async def post(self, *events: Event) -> None:
        """Events that the service takes."""
        answer = await self.publish(*events)
        self.assertEqual(answer["rejected"], [])


class UdpTests(CppClientTestCase):
    """Over UDP, on a good line."""

    async def test_life_of_a_session(self) -> None:
        """A table by parts and by differences; progress up to completion."""
        await self.post(start_with_materials())
        client = self.watch("--transport", "udp", "--show", "0.05")
        await client.until("connected", transport="udp")
        table = (await client.until("materials"))["materials"]
        self.assertEqual(table[0], {"material_id": str(IRON), "quantity": 10, "quality": 50, "problem": None})
        for quantity in range(11, 15):
            await self.post(changed(quantity, notifications=[short(quantity)]))
            iron, copper = (await client.until("materials"))["materials"]
            self.assertEqual((iron["quantity"], copper["quantity"]), (quantity, 10))
            self.assertEqual(iron["problem"]["available_quantity"], quantity)
        await self.post(happened("pause", pause_reason="player_afk"))
        while (await client.until("progress"))["progress"]["status"] != "paused":
            pass
        shown = await client.until("shown")
        self.assertLess(shown["error"], 1.0)
        await self.post(happened("complete", result_item_id=str(IRON), duration_seconds=60))
        await client.until("ended", result="completed")
        self.assertEqual(await client.end(), 0)

    async def test_failure(self) -> None:
        """The reason is put together from its parts."""
        await self.post(start_with_materials())
        client = self.watch("--transport", "udp")
        await client.until("materials")
        reason = 200 * "ü"
        await self.post(happened("progress", progress_percentage=12.5, status="failed", failure_reason=reason))
        await client.until("ended", result="failed")
        received = [event["progress"] for event in client.passed if event["event"] == "progress"]
        self.assertEqual((received[-1]["status"], received[-1]["failure_reason"]), ("failed", reason))

    async def test_long_table(self) -> None:
        """It comes packed, or in parts."""
        await self.post(start_with_materials(materials=50))
        for compression in ("lz4", "none"):
            client = self.watch("--transport", "udp", "--compression", compression)
            materials = (await client.until("materials"))["materials"]
            self.assertEqual(len({row["material_id"] for row in materials}), 50)
            client.interrupt()
            await client.until("ended", result="stopped")

    async def test_key_log(self) -> None:
        """The keys of both directions, readable by the owner only."""
        await self.post(start_with_materials())
        path = Path(self.mktemp())
        path.touch(0o644)  # as a careless shell leaves it.
        client = self.watch("--transport", "udp", CRAFTNET_KEYLOG=str(path))
        await client.until("materials")
        lines = path.read_text().splitlines()
        pattern = r"CRAFTNET_UDP_1 [0-9a-f]{8} (client|server) 0 [0-9a-f]{32} [0-9a-f]{24}"
        senders = [match[1] for line in lines if (match := re.fullmatch(pattern, line)) is not None]
        self.assertEqual((sorted(senders), len(lines)), (["client", "server"], 2))
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)

    async def test_refused(self) -> None:
        client = self.watch("--transport", "udp")
        await client.until("ended", result="refused")
        self.assertEqual(await client.end(), 1)


class RotationTests(CppClientTestCase):
    """A server that replaces its keys and session tokens every second."""

    settings = RENEWING_SETTINGS

    async def test_connection_goes_on(self) -> None:
        await self.post(start_with_materials())
        path = Path(self.mktemp())
        client = self.watch("--transport", "udp", CRAFTNET_KEYLOG=str(path))
        await client.until("materials")
        await until(lambda: " server 2 " in path.read_text())
        await self.post(changed(7))
        while (await client.until("materials"))["materials"][0]["quantity"] != 7:
            pass
        self.assertNotIn("lost", [event["event"] for event in client.passed])


class LossyTests(CppClientTestCase, RelayedTestCase):
    """A bad line: the first datagram of each direction is lost, too."""

    loses = 4

    async def test_life_of_a_session(self) -> None:
        await self.post(start_with_materials())
        client = self.watch()
        materials = await client.until("materials")
        for quantity in (9, 8, 7, 6, 5):
            await self.post(changed(quantity))
            while materials["materials"][0]["quantity"] != quantity:
                materials = await client.until("materials")
        await self.post(happened("complete", result_item_id=str(IRON), duration_seconds=60))
        await client.until("ended", result="completed")
        self.assertGreater(self.relay.lost, 3)


class BlockedTests(CppClientTestCase, RelayedTestCase):
    """No datagram comes through."""

    loses = 1

    async def test_websocket_takes_over(self) -> None:
        await self.post(start_with_materials())
        client = self.watch("--udp-timeout", "0.3")
        await client.until("lost", transport="udp")
        await client.until("connected", transport="ws")
        progress = (await client.until("progress", transport="ws"))["progress"]
        self.assertEqual(progress["status"], "active")
        await self.post(happened("complete", result_item_id=str(IRON), duration_seconds=60))
        await client.until("ended", result="completed")


class WebSocketTests(CppClientTestCase):
    """Over WebSocket, in each subprotocol."""

    async def follow(self, subprotocol: str) -> None:
        """From the first progress to completion."""
        await self.post(start_with_materials())
        client = self.watch("--transport", "ws", "--subprotocol", subprotocol)
        await client.until("connected", transport="ws")
        self.assertEqual((await client.until("progress"))["progress"]["status"], "active")
        await self.post(changed(7, notifications=[short(7)]))
        received = await client.until("material")
        self.assertEqual((received["material_id"], received["problem"]["available_quantity"]), (str(IRON), 7))
        self.assertTrue([event for event in client.passed if event["event"] == "position"])
        await self.post(happened("pause", pause_reason="player_afk"))
        while (await client.until("progress"))["progress"]["status"] != "paused":
            pass
        await self.post(happened("complete", result_item_id=str(IRON), duration_seconds=60))
        await client.until("ended", result="completed")

    async def test_json(self) -> None:
        await self.follow("json")

    async def test_lz4(self) -> None:
        """Without the dictionary at first: it is downloaded."""
        await self.follow("lz4")

    async def test_binary(self) -> None:
        await self.follow("bin")

    async def test_binary_resumes(self) -> None:
        """Records have no position; yet what came before the connection was lost does not come again."""
        relays = CuttableRelay(int(self.url.rpartition(":")[2]))
        relay: Any = cast(Any, reactor).listenTCP(0, relays, interface="127.0.0.1")
        self.addCleanup(relay.stopListening)
        self.addCleanup(relays.cut)
        await self.post(start_with_materials())
        client = CppClient(f"http://127.0.0.1:{relay.getHost().port}", "--transport", "ws", "--subprotocol", "bin")
        self.addCleanup(client.stop)
        await client.until("progress")
        for quantity in range(7, 13):
            more = {"notifications": [short(quantity)]} if quantity == 9 else {}
            await self.post(changed(quantity, SESSION, **more))
            await client.until("change", quantity=quantity)
            if quantity % 2:
                continue
            relays.cut()
            await client.until("lost")
            await self.post(changed(100 + quantity))
            passed: list[Event] = []
            while "change" not in [event["event"] for event in passed]:
                event = await client.read()
                passed.append(event)
            self.assertNotIn("reset", [event["event"] for event in passed])
            self.assertEqual(passed[-1]["quantity"], 100 + quantity)
        await self.post(happened("complete", result_item_id=str(IRON), duration_seconds=60))
        await client.until("ended", result="completed")
        self.assertEqual([event for event in client.passed if event["event"] == "change"], [])

    async def test_refused(self) -> None:
        client = self.watch("--transport", "ws")
        await client.until("ended", result="refused")
