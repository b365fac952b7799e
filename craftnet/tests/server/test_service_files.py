"""The unit files of systemd, and the promises of the container image: an open port, an unprivileged user."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

import craftnet
from craftnet.tests.support.eventually import wait_for
from craftnet.tests.support.nodes import listens
from craftnet.tests.support.ports import reserved_port
from craftnet.tests.support.processes import PROCESS_TIMEOUT, SCRIPTS
from craftnet.tests.support.programs import output, program

DEPLOY = Path(craftnet.__file__).parent.parent / "deploy"

HAND_OVER = """
import os, socket, sys
port = socket.create_server(("::", int(sys.argv[1])), family=socket.AF_INET6, dualstack_ipv6=True)
os.dup2(port.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS="1", LISTEN_FDNAMES="craftnet.socket", LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
"""
"""What systemd does with a socket unit: descriptor 3 is the open port (sd_listen_fds(3))."""

UNPRIVILEGED = ("setpriv", "--reuid=1000", "--regid=1000", "--clear-groups", "--no-new-privs", "--inh-caps=-all")


class ServiceTestCase(SynchronousTestCase):
    """With a server that another process starts."""

    def assertServes(self, command: list[str], port: int, folder: Path) -> None:
        """The command starts a server that answers, and ends on SIGTERM."""
        environment = {**os.environ, "CRAFTNET_JWT_SECRET": "s" * 32, "PYTHONDONTWRITEBYTECODE": "1"}
        path = Path(self.mktemp())
        with path.open("w") as log:
            process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
            try:
                wait_for(lambda: process.poll() is not None or listens(port))
                self.assertIsNone(process.poll(), path.read_text())
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/live", timeout=PROCESS_TIMEOUT) as answer:
                    self.assertEqual(answer.status, 200)
                process.terminate()
                self.assertEqual(process.wait(PROCESS_TIMEOUT), 0)
            finally:
                process.kill()
                process.wait()


class SystemdTests(ServiceTestCase):
    def test_units(self) -> None:
        """systemd finds nothing wrong with them."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        for unit in ("craftnet.service", "craftnet.socket"):
            text = (DEPLOY / "systemd" / unit).read_text()
            (folder / unit).write_text(re.sub("/opt/craftnet/bin/twistd", "/bin/true", text))
        done = output("systemd-analyze", "verify", str(folder / "craftnet.service"), str(folder / "craftnet.socket"))
        self.assertEqual((done.returncode, done.stdout), (0, ""))

    def test_socket(self) -> None:
        """The command of the unit serves on the port that systemd opened."""
        unit = (DEPLOY / "systemd" / "craftnet.service").read_text()
        match = re.search(r"^ExecStart=/opt/craftnet/bin/twistd (.*)$", unit, re.M)
        assert match is not None
        port = reserved_port(self)
        command = [sys.executable, "-c", HAND_OVER, str(port), str(SCRIPTS / "twistd"), *match[1].split()]
        self.assertServes([*command, "--udp", "off"], port, Path.cwd())


class ImageTests(ServiceTestCase):
    """The image itself is not built here: that needs a container engine and an image of Python."""

    def setUp(self) -> None:
        self.stages = (DEPLOY / "Dockerfile").read_text().split("\nFROM ")[1:]

    def test_last_stage(self) -> None:
        """It has wheels and nothing of the sources, an unprivileged user and a health check."""
        build, last = self.stages
        self.assertIn("COPY . .", build)
        self.assertEqual(re.findall(r"^COPY .*$", last, re.M), ["COPY --from=build /wheels /wheels"])
        self.assertIn("\nUSER 1000:1000\n", last)
        self.assertIn("/health/live", last[last.index("HEALTHCHECK") :])

    def test_unprivileged_without_writing(self) -> None:
        """A user that may write nowhere can run the server."""
        if os.geteuid() != 0:
            raise SkipTest("only root can become another user")
        program("setpriv")
        readable = output(*UNPRIVILEGED, sys.executable, "-c", "import craftnet.tap")
        if readable.returncode:
            raise SkipTest("other users cannot read this environment")
        folder = Path(self.mktemp()).absolute()
        folder.mkdir(mode=0o755)
        port = reserved_port(self)
        entry = re.search(r"^ENTRYPOINT \[(.*)\]$", self.stages[1], re.M)
        assert entry is not None
        _, *arguments = re.findall(r'"([^"]*)"', entry[1])
        options = ["--http", f"tcp:{port}:interface=127.0.0.1", "--udp", "off"]
        self.assertServes([*UNPRIVILEGED, str(SCRIPTS / "twistd"), *arguments, *options], port, folder)
