"""TLS as clients of others find it: curl, OpenSSL, Go and Chromium on real sockets, and files that change under way."""

from __future__ import annotations

import os
import re
import signal
import ssl
import subprocess
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from msgspec import json
from twisted.logger import capturedLogs, eventAsText
from twisted.trial.unittest import SynchronousTestCase

from craftnet.access.principal import PUBLISH
from craftnet.errors import ConfigurationError
from craftnet.http.connection.tls import CIPHERS, load_credentials
from craftnet.runtime.addresses import LISTEN_BACKLOG, TlsAddress, parse_tls
from craftnet.server.settings import Settings
from craftnet.tests.support.certificates import Issued, issued
from craftnet.tests.support.chromium import browser
from craftnet.tests.support.live import LiveTestCase, envelope, in_thread, started, token
from craftnet.tests.support.processes import running, twistd
from craftnet.tests.support.programs import output, program
from craftnet.tests.support.samples import PLAYER, SESSION

HOST = "craft.example"

GO_CLIENT = Path(__file__).parents[4] / "clients" / "go-tls"

CRAFTING = f"/ws/crafting/{SESSION}?player_id={PLAYER}"


class Files:
    """A key and a certificate chain in a folder."""

    def __init__(self, folder: str, certificate: Issued) -> None:
        Path(folder).mkdir()
        self.key, self.chain, self.root = (Path(folder).absolute() / name for name in ("key.pem", "chain.pem", "root"))
        self.write(certificate)

    def write(self, certificate: Issued) -> None:
        """Replace them."""
        self.key.write_bytes(certificate.key)
        self.chain.write_bytes(certificate.chain)
        self.root.write_bytes(certificate.root)

    @property
    def endpoint(self) -> str:
        """Serves them."""
        return f"ssl:0:interface=127.0.0.1:privateKey={self.key}:certKey={self.chain}"


class TlsTestCase(LiveTestCase):
    """A service that speaks TLS, with a certificate of an intermediate authority.

    Attributes:
        rsa_key: whether the server's key is for RSA.
    """

    timeout = 180
    rsa_key = False
    hsts = 0

    def setUp(self) -> None:
        """Start."""
        self.certificate = issued(HOST, rsa_key=self.rsa_key)
        self.files = Files(self.mktemp(), self.certificate)
        self.settings = Settings(http=self.files.endpoint, udp="off", drain_time=0.0, hsts=self.hsts)
        super().setUp()
        self.port = self.url.rpartition(":")[2]
        self.context = ssl.create_default_context(cafile=str(self.files.root))

    async def s_client(self, *options: str) -> str:
        """The output of `openssl s_client` about a connection."""
        where = ["-connect", f"127.0.0.1:{self.port}", "-servername", HOST, "-CAfile", str(self.files.root)]
        done = await in_thread(output, "openssl", "s_client", *where, "-verify_return_error", *options)
        return done.stdout

    async def curl(self, path: str, *options: str) -> str:
        """curl's response and its output."""
        base = ["--silent", "--show-error", "--verbose", "--cacert", str(self.files.root)]
        base += ["--resolve", f"{HOST}:{self.port}:127.0.0.1"]
        done = await in_thread(output, "curl", *base, *options, f"https://{HOST}:{self.port}{path}")
        return done.stdout

    async def post(self, event: dict[str, Any]) -> None:
        """Post an event, with curl."""
        fields = [f"Authorization: Bearer {token(None, PUBLISH)}", "Content-Type: application/json"]
        options = [option for field in fields for option in ("--header", field)]
        answer = await self.curl("/events", *options, "--data", json.encode([event]).decode())
        self.assertIn('"accepted":1', answer)


class ApplicationProtocolTests(TlsTestCase):
    """ALPN, which nearly every client offers."""

    async def refused(self, label: str) -> float:
        """The number of refusals with this reason, as an operator reads it."""
        text = await self.curl("/metrics")
        found = re.search(rf'craftnet_refusals_total\{{reason="{label}"\}} (\S+)', text)
        return 0.0 if found is None else float(found[1])

    async def test_openssl(self) -> None:
        for offered, chosen in (("h2,http/1.1", "ALPN protocol: http/1.1"), (None, "No ALPN negotiated")):
            said = await self.s_client(*([] if offered is None else ["-alpn", offered]))
            self.assertIn(chosen, said)
            self.assertIn("Verify return code: 0 (ok)", said)

    async def test_none_in_common(self) -> None:
        """Alert 120, no_application_protocol (RFC 7301 section 3.2), on either version of TLS; it is counted."""
        for version in ("-tls1_2", "-tls1_3"):
            said = await self.s_client("-alpn", "h2,spdy/3", version)
            self.assertRegex(said, r"SSL alert number 120\b")
        self.assertEqual(await self.refused("no_application_protocol"), 2.0)

    async def test_no_handshake(self) -> None:
        """TLS that is too old is counted, too; nothing of either is logged as a bug (trial fails for it)."""
        said = await self.s_client("-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
        self.assertRegex(said, r"SSL alert number (40|70)\b")
        self.assertEqual(await self.refused("tls_handshake"), 1.0)

    async def test_curl(self) -> None:
        text = await self.curl("/health")
        self.assertIn("ALPN: server accepted http/1.1", text)
        self.assertIn("HTTP/1.1 200", text)
        self.assertNotIn("Strict-Transport-Security", text)

    async def test_go(self) -> None:
        """HTTP and a WebSocket, with Go's standard library."""
        client = str(Path(self.mktemp()).absolute())
        compiler = program("go")
        environment = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod"}
        built = await in_thread(output, compiler, "build", "-o", client, ".", cwd=GO_CLIENT, env=environment)
        self.assertEqual(built.returncode, 0, built.stdout)
        await self.post(started())
        done = await in_thread(output, client, "-ca", str(self.files.root), self.url, CRAFTING, token())
        self.assertEqual(done.returncode, 0, done.stdout)
        first, second = done.stdout.splitlines()
        self.assertEqual(first, "HTTP/1.1 200 ALPN: http/1.1")
        self.assertIn('"type":"progress_update"', second)

    async def test_chromium(self) -> None:
        """HTTP and a WebSocket, from a page of the server itself."""
        await self.post(started())
        script = f"""new Promise((done, failed) => {{
            const protocols = ["craftnet.json.v1", "bearer.{token()}"];
            const socket = new WebSocket("wss://127.0.0.1:{self.port}{CRAFTING}", protocols);
            socket.onmessage = ({{ data }}) => done(`${{socket.protocol}} ${{JSON.parse(data).session_id}}`);
            socket.onclose = ({{ code }}) => failed(new Error(`closed with ${{code}}`));
        }})"""

        def browse() -> tuple[str, str]:
            with browser(f"--ignore-certificate-errors-spki-list={self.certificate.spki}") as page:
                page.open(f"https://127.0.0.1:{self.port}/health")
                return page.evaluate("document.body.innerText"), page.evaluate(script)

        text, message = await in_thread(browse)
        self.assertIn('"status":', text)
        self.assertEqual(message, f"craftnet.json.v1 {SESSION}")


class CertificateTests(TlsTestCase):
    """The certificate that a client sees, and its verification."""

    async def test_chain(self) -> None:
        """A client that knows the root only gets all that is between."""
        said = await self.s_client("-showcerts")
        self.assertEqual(said.count("BEGIN CERTIFICATE"), 2)
        self.assertIn("Verify return code: 0 (ok)", said)

    async def test_resumption(self) -> None:
        """Within the process, on either version of TLS."""
        for version in ("-tls1_2", "-tls1_3"):
            file = self.mktemp()
            first = await self.exchange(version, "-sess_out", file)
            self.assertIn("New, TLSv1", first)
            self.service.reload()  # unchanged files.
            second = await self.exchange(version, "-sess_in", file)
            self.assertIn("Reused, TLSv1", second)

    async def exchange(self, *options: str) -> str:
        """The output of s_client about a connection with a request; tickets of TLS 1.3 follow the handshake."""

        def ask() -> str:
            where = ["-connect", f"127.0.0.1:{self.port}", "-servername", HOST, "-CAfile", str(self.files.root)]
            request = f"GET /health/live HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n"
            command = [program("openssl"), "s_client", "-ign_eof", *where, *options]
            done = subprocess.run(command, input=request, capture_output=True, text=True, timeout=60)
            return done.stdout

        return await in_thread(ask)

    async def test_reload(self) -> None:
        """New connections get the new certificate, open ones stay; a broken one is logged, and the old one stays."""
        self.assertEqual(await self.serial(), self.certificate.serial)
        await self.post(started())
        peer = await self.open(CRAFTING, token(), ssl=self.context, server_hostname=HOST)
        await peer.receive()

        renewed = issued(HOST)
        self.files.write(renewed)
        self.service.listener.check_files()
        self.assertEqual(await self.serial(), renewed.serial)

        with capturedLogs() as events:
            self.files.chain.write_bytes(issued(HOST).chain)  # and the key is still the one of before.
            self.service.listener.check_files()
            self.service.listener.check_files()
            self.files.chain.unlink()
            self.service.listener.check_files()
        said = [eventAsText(event, includeTimestamp=False, includeSystem=False) for event in events]
        self.assertEqual(len(said), 2, said)
        self.assertRegex(said[0], "^The previous certificate stays in use. The private key in .* does not belong to")
        self.assertRegex(said[1], "^The previous certificate stays in use. .*chain.pem cannot be read")
        self.assertEqual(await self.serial(), renewed.serial)

        again = issued(HOST)
        self.files.write(again)
        self.service.reload()
        self.assertEqual(await self.serial(), again.serial)
        progress = {"session_id": str(SESSION), "progress_percentage": 40, "status": "active"}
        await self.post(envelope("crafting.session.progress", progress))
        self.assertEqual((await peer.receive())["type"], "progress_update")

    async def serial(self) -> int:
        """The number of the certificate that a new connection gets."""
        said = await self.s_client("-showcerts")
        pem = said[said.index("-----BEGIN") : said.index("-----END")] + "-----END CERTIFICATE-----\n"
        done = subprocess.run(
            [program("openssl"), "x509", "-noout", "-serial"], input=pem, capture_output=True, text=True
        )
        return int(done.stdout.strip().removeprefix("serial="), 16)


class CipherTests(TlsTestCase):
    """TLS 1.2 offers what Mozilla's intermediate list has, and nothing else."""

    kind = "ECDSA"

    async def test_offered(self) -> None:
        for cipher in CIPHERS.split(":"):
            said = await self.s_client("-tls1_2", "-cipher", f"{cipher}:@SECLEVEL=0")
            fits = cipher.startswith(f"ECDHE-{self.kind}")
            self.assertEqual(f"Cipher is {cipher}" in said, fits, said)

    async def test_not_offered(self) -> None:
        listed = (await in_thread(output, "openssl", "ciphers", "ALL:COMPLEMENTOFALL:@SECLEVEL=0")).stdout
        others = [cipher for cipher in listed.strip().split(":") if cipher not in CIPHERS.split(":")]
        self.assertGreater(len(others), 20)
        said = await self.s_client("-tls1_2", "-cipher", ":".join([*others, "@SECLEVEL=0"]))
        self.assertRegex(said, r"SSL alert number 40\b")


class RsaCipherTests(CipherTests):
    """The same with a key for RSA, with which OpenSSL's own list has many more."""

    kind = "RSA"
    rsa_key = True


class StrictTransportTests(TlsTestCase):
    """HSTS by option: on every answer, refusals before routing included."""

    hsts = 31536000

    async def test_header(self) -> None:
        for path, options in (("/health", []), ("/nowhere", []), ("/", ["--header", "Content-Length: x"])):
            text = await self.curl(path, *options)
            self.assertEqual(text.count("< Strict-Transport-Security: max-age=31536000"), 1, text)


class FilesTests(SynchronousTestCase):
    """Possible contents of the files."""

    def setUp(self) -> None:
        self.certificate = issued(HOST)
        self.files = Files(self.mktemp(), self.certificate)
        self.address = TlsAddress(443, str(self.files.key), (str(self.files.chain),))

    def chain(self) -> list[bytes]:
        """The credentials in them."""
        return [each.public_bytes(Encoding.PEM) for each in load_credentials(self.address).chain]

    def assert_refused(self, words: str) -> None:
        self.assertIn(words, str(self.assertRaises(ConfigurationError, load_credentials, self.address)))

    def test_together(self) -> None:
        """Key and chain in one file, in any order; and with what else tools write into it."""
        both = self.certificate.chain + b"some text\n" + self.certificate.key
        self.files.chain.write_bytes(both)
        self.address = TlsAddress(443, str(self.files.chain), (str(self.files.chain),))
        self.assertEqual(self.chain(), [self.certificate.leaf, self.certificate.intermediate])

    def test_chain_in_two_files(self) -> None:
        """As `extraCertChain` has it; what both hold is sent once."""
        more = self.files.chain.with_name("more.pem")
        more.write_bytes(self.certificate.intermediate + self.certificate.root)
        self.address = TlsAddress(443, str(self.files.key), (str(self.files.chain), str(more)))
        wanted = [self.certificate.leaf, self.certificate.intermediate, self.certificate.root]
        self.assertEqual(self.chain(), wanted)

    def test_key_of_another(self) -> None:
        self.files.key.write_bytes(issued(HOST).key)
        self.assert_refused(f"The private key in {self.files.key} does not belong to the certificate in")

    def test_order(self) -> None:
        self.files.chain.write_bytes(self.certificate.intermediate + self.certificate.leaf)
        self.assert_refused("belongs to certificate number 2 in")

    def test_neither(self) -> None:
        for content in (b"", b"hello", self.certificate.key, b"\xff\x00"):
            self.files.chain.write_bytes(content)
            self.assert_refused("chain.pem contains no certificate")
        self.files.write(self.certificate)
        for content in (b"", b"hello", self.certificate.leaf, b"\xff\x00"):
            self.files.key.write_bytes(content)
            self.assert_refused("key.pem contains no private key")
        self.files.key.unlink()
        self.assert_refused("key.pem cannot be read: No such file")

    def test_passphrase(self) -> None:
        """OpenSSL would ask for it at the terminal."""
        key = load_pem_private_key(self.certificate.key, None)
        secret = BestAvailableEncryption(b"secret")
        self.files.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, secret))
        self.assert_refused("key.pem is encrypted")


class AddressTests(SynchronousTestCase):
    def test_forms(self) -> None:
        for text, wanted in (
            ("tcp:443", None),
            ("unix:/run/ssl:privateKey=x", None),
            ("ssl:443:privateKey=k:certKey=c", TlsAddress(443, "k", ("c",))),
            ("ssl:port=443:privateKey=both", TlsAddress(443, "both", ("both",))),
            (
                r"ssl:0:interface=\:\:1:privateKey=C\:\\k=1:certKey=c:extraCertChain=more:dhParameters=d:backlog=9",
                TlsAddress(0, "C:\\k=1", ("c", "more"), "d", "::1", 9),
            ),
        ):
            self.assertEqual(parse_tls(text), wanted, text)
        default = parse_tls("ssl:1:privateKey=k")
        assert default is not None
        self.assertEqual(default.backlog, LISTEN_BACKLOG)

    def test_refused(self) -> None:
        for text, words in (
            ("ssl:443", "needs a port and a privateKey"),
            ("ssl:privateKey=k", "needs a port and a privateKey"),
            ("ssl:https:privateKey=k", "'https' is not a port number"),
            ("ssl:443:privateKey=k:sslmethod=SSLv3_METHOD", "'sslmethod=SSLv3_METHOD' is unknown or repeated"),
            ("ssl:443:privateKey=k:privateKey=l", "'privateKey=l' is unknown or repeated"),
            ("ssl:443:privateKey=k:backlog=many", "got 'many'"),
        ):
            self.assertIn(words, str(self.assertRaises(ConfigurationError, parse_tls, text)))


class ProgramTests(SynchronousTestCase):
    """As an operator meets it."""

    def test_refused(self) -> None:
        files = Files(self.mktemp(), issued(HOST))
        files.key.write_bytes(issued(HOST).key)
        for options, words in (
            (["--http", files.endpoint], "does not belong to the certificate in"),
            (["--http", "tcp:0:interface=127.0.0.1", "--hsts", "60"], "--hsts needs an ssl endpoint"),
        ):
            done = twistd("--nodaemon", "--pidfile=", "craftnet", "--udp", "off", *options)
            said = done.stdout + done.stderr
            self.assertEqual(done.returncode, 1, said)
            self.assertIn(words, said)
            self.assertNotIn("Traceback", said)

    def test_reload(self) -> None:
        """On SIGHUP, and when the files change."""
        files = Files(self.mktemp(), issued(HOST))
        with running("--udp", "off", "--http", files.endpoint) as server:
            server.read_until("HTTP and WebSocket: https://")
            files.write(issued(HOST))
            server.process.send_signal(signal.SIGHUP)
            server.read_until("New connections use the certificate in .*chain.pem, which is valid until")
            files.write(issued(HOST))
            server.read_until("New connections use the certificate in .*chain.pem, which is valid until")
            self.assertEqual(server.finish(), 0)
