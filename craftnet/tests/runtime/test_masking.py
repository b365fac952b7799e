"""Secrets in options, wherever people see options."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from craftnet.notify.webhook import WebhookSettings
from craftnet.observe.audit.entries import AuditKey
from craftnet.runtime.masking import masked_error, masked_option
from craftnet.server.startup_message import ServedSummary
from craftnet.streams.core.nats_credentials import NatsCredentials
from craftnet.streams.nats_settings import NatsServer
from craftnet.tests.support.admin import AdminTestCase
from craftnet.tests.support.processes import craftnet_in_process, twistd

SECRET = "hunter2"
PATHS = (
    "jwt:key=/etc/craftnet/public.pem",
    "ssl:443:privateKey=privkey.pem:certKey=fullchain.pem",
    "redis:host=token.a",
    "https://a.example:8080/path",
    "tcp:8080",
    "jwt:jwks=https://login.example/keys.json:aud=craftnet",
)

secrets = st.text("abcXYZ019!$%*+-./:;,=@_~ ", min_size=1, max_size=20).map(lambda text: f"S{text.strip()}S")


class ReprTests(SynchronousTestCase):
    def test_secrets(self) -> None:
        """No settings show their secret when they are printed."""
        for value in (
            WebhookSettings("https://push.example/hook", b"s3cret"),
            AuditKey(b"s3cret"),
            NatsServer("10.0.0.7", 4222, credentials=NatsCredentials("craftnet", "s3cret")),
        ):
            self.assertNotIn("s3cret", repr(value) + str(value))


class OptionTests(SynchronousTestCase):
    def test_masked(self) -> None:
        for text, safe in (
            ("redis://:secret@host:6379/0", "redis://:***@host:6379/0"),
            ("rediss://user:pa:s@s@host", "rediss://user:***@host"),
            ("https://a1b2c3@host/x", "https://***@host/x"),
            ("redis:host=h:password=a\\:b c:db=1", "redis:host=h:password=***:db=1"),
            ("kafka:sasl_password=abc:client_secret=d", "kafka:sasl_password=***:client_secret=***"),
            (
                "jwt:jwks=https://a.example/k?api_key=a:b&x=1:aud=game",
                "jwt:jwks=https://a.example/k?api_key=***&x=1:aud=game",
            ),
            ("webhook:url=https://hooks.example/services/T0/B1/x", "webhook:url=https://hooks.example/***"),
            *zip(PATHS, PATHS, strict=True),
        ):
            self.assertEqual(masked_option(text), safe)
        self.assertEqual(masked_error("a: x:password=b\nline 2"), "a: x:password=***\nline 2")

    @settings(derandomize=True, max_examples=50)
    @given(secrets)
    def test_arguments(self, secret: str) -> None:
        """Whatever a password is made of, short of the name of another argument."""
        escaped = secret.replace("\\", "\\\\").replace(":", "\\:")
        for name in ("password", "client_secret", "apiKey", "TOKEN"):
            self.assertEqual(masked_option(f"redis:host=h:{name}={escaped}"), f"redis:host=h:{name}=***")

    @settings(derandomize=True, max_examples=50)
    @given(secrets.map(lambda text: text.replace(" ", "")))
    def test_urls(self, secret: str) -> None:
        self.assertEqual(masked_option(f"redis://:{secret}@host/0"), "redis://:***@host/0")
        self.assertEqual(masked_option(f"redis://user:{secret}@host/0"), "redis://user:***@host/0")


class ShownTests(SynchronousTestCase):
    """Commands, errors and the log."""

    def test_commands(self) -> None:
        file = Path(self.mktemp()).absolute()
        file.write_text(
            f'backend = "redis:host=h:password={SECRET}"\nnotify = "webhook:url=https://u:{SECRET}@h/{SECRET}"\n'
            f'crafting-service = "ftp://u:{SECRET}@h/?token={SECRET}"\n',
            encoding="utf-8",
        )
        shown = craftnet_in_process("config", "--show", "--config", str(file))
        self.assertIn('backend = "redis:host=h:password=***"', shown.stdout)
        checked = craftnet_in_process("check-config", str(file))
        started = twistd(
            "-n", "--pidfile=", "craftnet", f"--crafting-service=ftp://u:{SECRET}@h", "--udp=off", PORT="0"
        )
        self.assertEqual((checked.returncode, started.returncode), (1, 1))
        self.assertIn("u:***@h", started.stdout + started.stderr)
        for run in (shown, checked, started):
            self.assertNotIn(SECRET, run.stdout + run.stderr)

    def test_log(self) -> None:
        summary = ServedSummary("http://a", "off", f"redis:password={SECRET}", "")
        self.assertIn("Back end: redis:password=***", summary.lines)


class AdminTests(AdminTestCase):
    """`GET /admin/configuration`"""

    settings = replace(
        AdminTestCase.settings,
        crafting_service=f"http://u:{SECRET}@127.0.0.1:9/health?sig={SECRET}",
        notify=f"webhook:url=http://127.0.0.1:9/{SECRET}",
    )
    environ = MappingProxyType({"CRAFTNET_WEBHOOK_SECRET": SECRET * 5})

    async def test_configuration(self) -> None:
        _, answer = await self.ask("GET", "/admin/configuration")
        values = {each["option"]: each.get("value") for each in answer["options"]}
        self.assertEqual(values["crafting-service"], "http://u:***@127.0.0.1:9/health?sig=***")
        self.assertEqual(values["notify"], "webhook:url=http://127.0.0.1:9/***")
        self.assertNotIn(SECRET, str(answer))
