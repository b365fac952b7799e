"""What the system must allow: the rules on files that a test writes, and one look at this machine."""

from __future__ import annotations

import json
from collections.abc import Mapping

from twisted.trial.unittest import SynchronousTestCase

from craftnet.limits.connection_limits import Limits
from craftnet.operator.doctor import SystemFinding, Verdict, examine, report
from craftnet.server.settings import Settings
from craftnet.tests.support.processes import craftnet, craftnet_in_process

LIMITS = "Limit                     Soft Limit           Hard Limit           Units\nMax open files {} {} files\n"
TUNED = {
    "/proc/self/limits": LIMITS.format("1024", "100000"),
    "/proc/sys/net/core/somaxconn": "4096\n",
    "/proc/sys/net/ipv4/tcp_max_syn_backlog": "8192\n",
    "/proc/sys/net/core/rmem_default": "4194304\n",
    "/proc/sys/net/ipv4/ip_local_port_range": "10240\t65535\n",
    "/run/systemd/timesync/synchronized": "",
}


class RuleTests(SynchronousTestCase):
    def examine(self, files: Mapping[str, str], **limits: int) -> dict[str, SystemFinding]:
        """The findings by name."""
        found = examine(Settings(limits=Limits(**limits)), files.get)  # type: ignore[arg-type]  # of any limit.
        return {each.name: each for each in found}

    def verdict(self, name: str, files: Mapping[str, str], **limits: int) -> Verdict:
        return self.examine({**TUNED, **files}, **limits)[name].verdict

    def test_tuned(self) -> None:
        for each in self.examine(TUNED).values():
            self.assertEqual((each.verdict, each.command), (Verdict.OK, ""), each.name)

    def test_too_low(self) -> None:
        """Each finding says what it should be, and the command that makes it so."""
        for name, path, text, wanted, command in (
            ("nofile", "/proc/self/limits", LIMITS.format("1024", "4096"), "20200", "LimitNOFILE=20200"),
            ("net.core.somaxconn", "/proc/sys/net/core/somaxconn", "128", "4096", "sysctl -w net.core.somaxconn=4096"),
            ("net.core.rmem_default", "/proc/sys/net/core/rmem_default", "212992", "2048000", "net.core.rmem_default="),
            (
                *("net.ipv4.ip_local_port_range", "/proc/sys/net/ipv4/ip_local_port_range", "32768 60999"),
                *("30000 ports", "sysctl -w net.ipv4.ip_local_port_range='10240 65535'"),
            ),
        ):
            found = self.examine({**TUNED, path: text})[name]
            self.assertEqual((found.verdict, found.wanted), (Verdict.LOW, wanted))
            self.assertIn(command, found.command)
            self.assertIn(command.split()[0], report([found]))

    def test_connections(self) -> None:
        """More connections need more, fewer less; without UDP, its buffers do not matter."""
        files = {"/proc/self/limits": LIMITS.format("1024", "4096")}
        self.assertEqual(self.verdict("nofile", files, connections=3896), Verdict.OK)
        self.assertEqual(self.verdict("nofile", files, connections=3897), Verdict.LOW)
        self.assertEqual(self.verdict("nofile", {"/proc/self/limits": LIMITS.format("1", "unlimited")}), Verdict.OK)
        names = {each.name for each in examine(Settings(udp="off"), TUNED.get)}
        self.assertNotIn("net.core.rmem_default", names)

    def test_tracked_connections(self) -> None:
        """Only where the firewall tracks them."""
        path, name = "/proc/sys/net/netfilter/nf_conntrack_max", "net.netfilter.nf_conntrack_max"
        self.assertNotIn(name, self.examine(TUNED))
        self.assertEqual(self.verdict(name, {path: "39999"}), Verdict.LOW)
        self.assertEqual(self.verdict(name, {path: "40000"}), Verdict.OK)

    def test_unreadable(self) -> None:
        """Nothing is called too low that cannot be read."""
        found = self.examine({})
        self.assertEqual({each.verdict for each in found.values()}, {Verdict.UNKNOWN})
        self.assertIn("unknown  clock: cannot be read here, should be synchronized", report([*found.values()]))


class CommandTests(SynchronousTestCase):
    def test_this_machine(self) -> None:
        """The exit code says whether all is well."""
        for start, connections, more in ((craftnet_in_process, "10", []), (craftnet, "1000000", ["--json"])):
            run = start("doctor", "--max-connections", connections, *more)
            low = '"low"' if more else "\nlow "
            self.assertEqual(run.returncode, int(low in f"\n{run.stdout}"), run.stdout + run.stderr)
        names = [each["name"] for each in json.loads(run.stdout)]
        self.assertEqual(names[0], "nofile")
