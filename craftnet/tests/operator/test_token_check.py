"""`craftnet token check`, as it is run."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any
from uuid import uuid4

from twisted.internet import reactor
from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase

from craftnet.access.development import sign_token
from craftnet.access.revocation.revocations import Revocation
from craftnet.clocks import steady
from craftnet.errors import ConfigurationError
from craftnet.operator.token_check import add_arguments, examined, report, token_check
from craftnet.server.settings import Settings
from craftnet.tests.support.eventually import until
from craftnet.tests.support.processes import craftnet, environment
from craftnet.tests.support.redis_nodes import RedisTestCase
from craftnet.tests.support.samples import OTHER_PLAYER, PLAYER, SESSION, event, start
from craftnet.tests.support.signing import jwk, jwks, rsa_key, sign

SECRET = "0123456789abcdef0123456789abcdef"


def development(player: Any = PLAYER, *scopes: str) -> str:
    return sign_token(SECRET.encode(), player, scopes, 60, time.time())


class TokenCheckTests(SynchronousTestCase):
    def file(self, content: str | bytes) -> str:
        path = Path(self.mktemp()).absolute()
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    def test_places(self) -> None:
        """A file, standard input or the environment; the token is never printed."""
        token = development()
        found = [
            craftnet("token", "check", CRAFTNET_TOKEN=token, CRAFTNET_JWT_SECRET=SECRET),
            subprocess.run(
                [sys.executable, "-m", "craftnet.operator.cli", "token", "check", "-"],
                input=token, capture_output=True, text=True, check=False, env=environment(CRAFTNET_JWT_SECRET=SECRET),
            ),
        ]  # fmt: skip
        for run in found:
            self.assertEqual((run.returncode, run.stdout.splitlines()[-1:]), (0, ["accepted"]), run.stderr)
            self.assertNotIn(token.split(".")[1], run.stdout + run.stderr)

    def test_configuration(self) -> None:
        """The options are those of the server: of the file, the environment and the command line, in that order."""
        keys = self.file(jwks(jwk(rsa_key(), "2026-01")))
        config = self.file(f'auth = "jwt:jwks={keys}:aud=craftnet"\nprefix = ["/crafting"]\n')
        now = time.time()
        payload = {"sub": str(PLAYER), "exp": now + 60, "aud": "craftnet"}
        token = self.file(sign(rsa_key(), "RS256", "2026-01", payload))
        run = craftnet(
            "token", "check", "--json", token, "--auth", f"jwt:jwks={keys}:aud=shop",
            "--route", "POST /crafting/events",
            CRAFTNET_CONFIG=config, CRAFTNET_AUTH="jwt:key=/nowhere",
        )  # fmt: skip
        self.assertEqual(run.returncode, 1, run.stderr)
        shown = json.loads(run.stdout)
        self.assertEqual((shown["status"], shown["answer"]), (401, "The token is for another audience."))
        self.assertIn({"audience"}, [{each["aspect"]} for each in shown["findings"] if each["judgement"] == "refused"])

    def test_usage(self) -> None:
        token, secret = self.file(development()), {"CRAFTNET_JWT_SECRET": SECRET}
        for arguments, variables, words in (
            ([token], {}, "neither --auth nor CRAFTNET_JWT_SECRET"),
            ([], {**secret, "CRAFTNET_TOKEN": ""}, "set CRAFTNET_TOKEN"),
            (["/nowhere"], secret, "no token in /nowhere: No such file"),
            ([self.file(b"\xff")], secret, "not ASCII"),
            ([self.file("two words")], secret, "give the token alone"),
            ([token, "--workers=0"], secret, "--workers must be from 1 to 256"),
        ):
            with self.assertRaises((ConfigurationError, UsageError)) as caught:
                token_check(arguments, variables)
            self.assertIn(words, str(caught.exception))


class RedisTests(RedisTestCase):
    """Where nodes share a Redis, it knows the revoked tokens and the owners of sessions."""

    async def check(self, token: str, *arguments: str) -> tuple[int, str]:
        """The status, and the server's answer."""
        parser = ArgumentParser()
        add_arguments(parser)
        settings = Settings(backend=f"redis:port={self.server.port}:prefix=test")
        options, environ = parser.parse_args(arguments), {"CRAFTNET_JWT_SECRET": SECRET}
        examination = await examined(steady(reactor), token, options, settings, environ)
        return examination.status, report(examination)

    async def test_stored(self) -> None:
        node = self.backend()
        await node.sessions.apply([event(start())])
        token = development()
        self.assertEqual((await self.check(token, "--route", f"/sse/crafting/{SESSION}"))[0], 200)
        code, text = await self.check(development(OTHER_PLAYER), "--session", str(SESSION))
        self.assertEqual((code, text.splitlines()[-1]), (403, "refused: 403 The session is another player's."))
        with self.assertRaises(ConfigurationError):
            await self.check(token, "--session", str(uuid4()))
        await node.revocations.publish(Revocation(None, PLAYER, time.time() + 1, time.time() + 600))
        await until(lambda: bool(self.server.names("test:revoked")))
        code, text = await self.check(token)
        self.assertEqual((code, text.splitlines()[-1]), (401, "refused: 401 The token was revoked."))
        self.server.kill()
        code, text = await self.check(token)
        self.assertEqual((code, "Redis is unreachable" in text), (503, True), text)
