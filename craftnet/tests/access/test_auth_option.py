"""The `--auth` option."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from craftnet.access.auth_option import AuthSetup, access_from_option
from craftnet.access.development import SECRET_VARIABLE, sign_token
from craftnet.errors import ConfigurationError, Unauthorized
from craftnet.tests.support.fakes import SteppedReactor
from craftnet.tests.support.samples import NOW, PLAYER
from craftnet.tests.support.signing import claims, ec_key, jwk, jwks, private_pem, public_pem, rsa_key, sign

SECRET = "a secret from the environment, long enough"


class OptionTestCase(SynchronousTestCase):
    """Has a reactor at `NOW` and a folder with key files."""

    def setUp(self) -> None:
        self.reactor = SteppedReactor(NOW)
        folder = Path(self.mktemp())
        folder.mkdir()
        self.pem, self.jwks, self.broken = folder / "key.pem", folder / "keys.json", folder / "broken"
        self.pem.write_bytes(public_pem(ec_key()))
        self.jwks.write_bytes(jwks(jwk(rsa_key(), "r"), jwk(ec_key(), "e")))
        self.broken.write_bytes(b"neither")

    def access(self, text: str | None, **environ: str) -> AuthSetup:
        return access_from_option(text, environ, self.reactor)

    def holds(self, access: AuthSetup, token: str) -> bool:
        checked = access.authority.authenticate(token)
        return self.successResultOf(
            checked.addCallbacks(lambda _: True, lambda failure: not failure.trap(Unauthorized))
        )


class DevelopmentTests(OptionTestCase):
    """Without the option."""

    def test_random_secret(self) -> None:
        """For this machine only."""
        access = self.access(None)
        assert access.secret is not None
        self.assertTrue(self.holds(access, sign_token(access.secret, PLAYER, (), 60, NOW)))
        self.assertTrue(access.loopback_only)
        self.assertIn(SECRET_VARIABLE, access.reason)
        self.assertNotEqual(access.secret, self.access(None).secret)

    def test_secret_from_the_environment(self) -> None:
        access = self.access(None, **{SECRET_VARIABLE: SECRET})
        self.assertEqual(access.secret, SECRET.encode())
        self.assertTrue(self.holds(access, sign_token(SECRET.encode(), PLAYER, (), 60, NOW)))
        self.assertFalse(access.loopback_only)

    def test_short_secret(self) -> None:
        self.assertRaises(ConfigurationError, self.access, None, **{SECRET_VARIABLE: "short"})

    def test_secrets_are_not_shown(self) -> None:
        access = self.access(None, **{SECRET_VARIABLE: SECRET})
        self.assertNotIn(SECRET, f"{access!r} {access.description} {access.reason}")


class FileTests(OptionTestCase):
    """Keys in files."""

    def test_pem(self) -> None:
        access = self.access(f"jwt:key={self.pem}", **{SECRET_VARIABLE: SECRET})
        self.assertTrue(self.holds(access, sign(ec_key(), "ES256", "any")))
        self.assertFalse(self.holds(access, sign(ec_key(1), "ES256")))
        self.assertIsNone(access.secret)
        self.assertFalse(access.loopback_only)
        self.assertIn(str(self.pem), access.description)

    def test_environment_does_not_count(self) -> None:
        """With `--auth`, a secret in the environment has no effect."""
        access = self.access(f"jwt:key={self.pem}", **{SECRET_VARIABLE: SECRET})
        self.assertFalse(self.holds(access, sign_token(SECRET.encode(), PLAYER, (), 60, NOW)))

    def test_jwks(self) -> None:
        access = self.access(f"jwt:jwks={self.jwks}")
        self.assertTrue(self.holds(access, sign(rsa_key(), "RS256", "r")))
        self.assertFalse(self.holds(access, sign(rsa_key(), "RS256", "x")))

    def test_unnamed_key(self) -> None:
        """A login service that names its key in tokens but not in its set."""
        self.jwks.write_bytes(jwks(jwk(ec_key())))
        token = sign(ec_key(), "ES256", "e")
        self.assertFalse(self.holds(self.access(f"jwt:jwks={self.jwks}"), token))
        self.assertTrue(self.holds(self.access(f"jwt:jwks={self.jwks}:kid=optional"), token))

    def test_audience_and_issuer(self) -> None:
        """An issuer that is a URL needs no backslashes, and may have them."""
        right = claims(aud="craft:net", iss="https://login.example:8443/a")
        for issuer in ("https://login.example:8443/a", r"https\://login.example\:8443/a"):
            access = self.access(rf"jwt:aud=craft\:net:jwks={self.jwks}:iss={issuer}")
            self.assertTrue(self.holds(access, sign(ec_key(), "ES256", "e", right)))
            for wrong in ({"aud": "craft"}, {"iss": "https"}):
                self.assertFalse(self.holds(access, sign(ec_key(), "ES256", "e", right | wrong)))
            self.assertIn("https://login.example:8443/a", access.description)


class UrlTests(OptionTestCase):
    """Keys behind a URL."""

    def connected_to(self, text: str) -> tuple[str, int]:
        """Where the first token makes it connect to. It connects to nothing before that."""
        access = self.access(text)
        self.assertEqual(self.reactor.tcpClients, [])
        access.authority.authenticate(sign(ec_key(), "ES256", "e")).addErrback(lambda _: None)
        host, port, *_ = self.reactor.tcpClients.pop()
        return host, port

    def test_spellings(self) -> None:
        for text in (
            "jwt:jwks=http://127.0.0.1:8443/keys.json",
            "jwt:jwks=http://127.0.0.1:8443/keys.json:aud=x",
            "jwt:aud=x:jwks=HTTP://127.0.0.1:8443/keys.json?a=b:iss=http://x:1/",
            r"jwt:jwks=http\://127.0.0.1\:8443/keys.json:aud=x",
            r"jwt:jwks=http://127.0.0.1:8443/keys\:kind=jwks",
        ):
            self.assertEqual(self.connected_to(text), ("127.0.0.1", 8443), text)

    def test_default_port(self) -> None:
        self.assertEqual(self.connected_to("jwt:jwks=http://127.0.0.1/keys.json"), ("127.0.0.1", 80))
        self.assertEqual(self.connected_to("jwt:jwks=https://127.0.0.1/keys.json"), ("127.0.0.1", 443))

    def test_description(self) -> None:
        description = self.access("jwt:jwks=https://login.example/keys?tenant=hush").description
        self.assertIn("https://login.example/keys", description)
        self.assertNotIn("hush", description)

    def test_not_fetchable(self) -> None:
        for url, reason in (
            ("ftp://login.example/keys", "scheme ftp"),
            ("file:///etc/keys", "malformed"),
            ("http:///keys", "malformed"),
            ("http://login.example:port/", "malformed"),
            ("http://login.example:0/", "malformed"),
            ("http://[::1/", "malformed"),
            ("http://login.example/a b", "malformed"),
            ("http://login.example/\n", "malformed"),
            ("http://lögin.example/", "malformed"),
            ("http://me:hush@login.example/", "user name"),
            ("http://login.example/#x", "fragment"),
        ):
            error = self.assertRaises(ConfigurationError, self.access, f"jwt:jwks={url}")
            self.assertIn(reason, str(error), url)
            self.assertNotIn("hush", str(error))


class MistakeTests(OptionTestCase):
    """Error texts say how to mend the option."""

    def test_error_texts(self) -> None:
        missing = self.pem.with_name("missing")
        private = self.pem.with_name("private.pem")
        private.write_bytes(private_pem(ec_key()))
        for text, reason in (
            ("", "jwt:"),
            ("oauth:key=x", "jwt:"),
            ("jwt", "no key"),
            ("jwt:", ":key=value"),
            ("jwt:jwks", ":key=value"),
            ("jwt:aud=x", "no key"),
            (f"jwt:jwks={self.jwks}:kid=ignored", "kid=optional"),
            (f"jwt:key={self.pem}:jwks={self.jwks}", "both"),
            (f"jwt:key={self.pem}:key={self.pem}", "twice"),
            (f"jwt:key={self.pem}:secret=x", "'secret'"),
            (f"jwt:key={self.pem}:aud=", "empty aud="),
            ("jwt:key=", "empty key="),
            (f"jwt:key={self.pem}\\", ":key=value"),
            (f"jwt:key={missing}", "No such file"),
            (f"jwt:jwks={missing}", "No such file"),
            (f"jwt:key={missing.parent}", "cannot be read"),
            (f"jwt:jwks={missing.parent}", "cannot be read"),
            (f"jwt:key={self.broken}", "PEM"),
            (f"jwt:key={private}", "private"),
            (f"jwt:jwks={self.broken}", "Key Set"),
            (f"jwt:jwks={self.pem}", "Key Set"),
            (f"jwt:key={self.pem}\0", "null"),
        ):
            error = self.assertRaises(ConfigurationError, self.access, text)
            self.assertIn(reason, str(error), text)

    def test_typed_secret_is_not_repeated(self) -> None:
        for text in ("jwt:secret=hush-hush", "hush-hush", "jwt:hush-hush"):
            self.assertNotIn("hush", str(self.assertRaises(ConfigurationError, self.access, text)))

    @settings(deadline=None, derandomize=True, max_examples=150)
    @given(
        st.text(max_size=30)
        | st.lists(st.sampled_from(["jwt", ":", "jwks", "=", "key", "aud", "\\", "x"])).map("".join)
    )
    def test_any_text(self, text: str) -> None:
        """Nothing but ConfigurationError comes of it."""
        self.assertRaises(ConfigurationError, access_from_option, text, {}, SteppedReactor())
