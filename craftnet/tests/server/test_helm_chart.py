"""The Helm chart: what it renders is valid for Kubernetes, starts craftnet with valid options, and drains in time.

The expected manifests are in `chart/`. After an intended change:

    build/bin/helm template craftnet deploy/helm/craftnet -n games --kube-version 1.31.0 \\
        -f craftnet/tests/server/chart/NAME.values.yaml > craftnet/tests/server/chart/NAME.yaml
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]  # it has no annotations.
import msgspec
from twisted.internet import reactor
from twisted.trial.unittest import SkipTest, SynchronousTestCase

import craftnet
from craftnet.clocks import steady
from craftnet.server.build import build
from craftnet.server.command_line import Options
from craftnet.server.service import Craftnet
from craftnet.tests.support.programs import program

REPOSITORY = Path(craftnet.__file__).parent.parent
CHART = REPOSITORY / "deploy" / "helm" / "craftnet"
EXPECTED = Path(__file__).parent / "chart"

KUBERNETES = ("1.28", "1.37")
"""The oldest version that the chart says it supports, and the newest that the validator knows."""

RENDERED_FOR = "1.31.0"

REQUIRED = ("--set", "auth=jwt:jwks=https://login.example/keys.json", "--set", "redis.host=redis")


def helm(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs helm: that of `make test-chart`, or the machine's."""
    built = REPOSITORY / "build" / "bin" / "helm"
    if not built.exists() and not program("helm"):
        raise SkipTest("helm is not installed: make test-chart builds it")
    command = str(built) if built.exists() else "helm"
    verb, *others = map(str, arguments)
    return subprocess.run(
        [command, verb, "--kube-version", RENDERED_FOR, *others], capture_output=True, text=True, check=False
    )


def documents(text: str) -> list[dict[str, Any]]:
    """The manifests in what helm rendered."""
    parts = (msgspec.yaml.decode(part) for part in re.split(r"^---$", text, flags=re.M))
    return [part for part in parts if part]


class ChartTestCase(SynchronousTestCase):
    """With what the chart renders."""

    def rendered(self, *arguments: str | Path) -> list[dict[str, Any]]:
        """The manifests with these further arguments of `helm template`."""
        done = helm("template", "craftnet", CHART, "-n", "games", *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return documents(done.stdout)

    def one(self, manifests: list[dict[str, Any]], kind: str, name: str = "") -> dict[str, Any]:
        """The only manifest of a kind, or the one with this name."""
        (found,) = [
            each for each in manifests if each["kind"] == kind and (not name or each["metadata"]["name"] == name)
        ]
        return found


class ManifestTests(ChartTestCase):
    def test_lint(self) -> None:
        done = helm("lint", "--strict", CHART, *REQUIRED, "--set", "udp.domain=udp.play.example")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_expected(self) -> None:
        for values in sorted(EXPECTED.glob("*.values.yaml")):
            with self.subTest(values.name):
                done = helm("template", "craftnet", CHART, "-n", "games", "-f", values)
                expected = values.with_name(values.name.replace(".values", ""))
                self.assertEqual(done.stdout, expected.read_text(), done.stderr)

    def test_valid(self) -> None:
        """By the schemas of Kubernetes; those of the Prometheus operator are not in there."""
        for values in sorted(EXPECTED.glob("*.values.yaml")):
            for manifest in self.rendered("-f", values):
                if manifest["apiVersion"].startswith("monitoring.coreos.com/"):
                    continue
                for version in KUBERNETES:
                    with self.subTest(f"{values.name}: {manifest['kind']} in {version}"):
                        kubernetes_validate.validate(manifest, version, strict=True)

    def test_what_is_missing(self) -> None:
        for arguments, missing in (
            (("--set", "redis.host=redis"), "auth is required"),
            (("--set", "auth=jwt:key=x"), "redis.host is required"),
            (REQUIRED, "udp.domain is required"),
        ):
            done = helm("template", "craftnet", CHART, *arguments)
            self.assertEqual(done.returncode, 1)
            self.assertIn(missing, done.stderr)


class NodeTests(ChartTestCase):
    """The pods of the nodes."""

    def setUp(self) -> None:
        self.manifests = self.rendered("-f", EXPECTED / "full.values.yaml")

    def pods(self) -> Iterator[dict[str, Any]]:
        """The pods' specifications."""
        for kind in ("Deployment", "StatefulSet"):
            yield self.one(self.manifests, kind)["spec"]["template"]["spec"]

    def test_options(self) -> None:
        """craftnet takes them; a node for UDP names its own endpoint."""
        os.environ["CRAFTNET_REDIS_PASSWORD"] = "secret"
        self.addCleanup(os.environ.pop, "CRAFTNET_REDIS_PASSWORD")
        endpoints = []
        for pod in self.pods():
            options = Options()
            arguments = pod["containers"][0]["args"]
            # The key's file is in the pod only.
            given = [text for text in arguments if not text.startswith("--auth=")]
            options.parseOptions([text.replace("$(POD_NAME)", "craftnet-udp-1") for text in given])
            self.assertIsInstance(build(options.settings, steady(reactor), {"CRAFTNET_JWT_SECRET": "s" * 32}), Craftnet)
            self.assertIn("--auth=jwt:key=/etc/craftnet/keys/login.pem", arguments)
            endpoints.append(options.settings.public_udp)
        self.assertEqual(endpoints, [None, "craftnet-udp-1.udp.play.example:8082"])
        self.one(self.manifests, "Service", "craftnet-udp-1")

    def test_probes(self) -> None:
        """A restart mends nothing that `/ready` and `/health` report."""
        for pod in self.pods():
            (container,) = pod["containers"]
            self.assertEqual(container["livenessProbe"]["httpGet"]["path"], "/health/live")
            self.assertEqual(container["readinessProbe"]["httpGet"]["path"], "/ready")

    def test_time_to_drain(self) -> None:
        for pod in self.pods():
            (container,) = pod["containers"]
            (drain,) = [int(text.removeprefix("--drain-time=")) for text in container["args"] if "drain-time" in text]
            (_, waits) = container["lifecycle"]["preStop"]["exec"]["command"]
            self.assertGreater(pod["terminationGracePeriodSeconds"], drain + int(waits))

    def test_rights(self) -> None:
        for pod in self.pods():
            (container,) = pod["containers"]
            self.assertEqual((pod["securityContext"]["runAsUser"], pod["automountServiceAccountToken"]), (1000, False))
            security = container["securityContext"]
            self.assertEqual(
                (security["readOnlyRootFilesystem"], security["allowPrivilegeEscalation"], security["capabilities"]),
                (True, False, {"drop": ["ALL"]}),
            )

    def test_secrets_are_the_operators(self) -> None:
        """The chart makes none."""
        self.assertEqual([each for each in self.manifests if each["kind"] == "Secret"], [])
        for pod in self.pods():
            password = pod["containers"][0]["env"][1]["valueFrom"]["secretKeyRef"]
            self.assertEqual(password, {"name": "redis", "key": "password"})

    def test_scaling(self) -> None:
        """On connections and events, down slowly."""
        scaler = self.one(self.manifests, "HorizontalPodAutoscaler")["spec"]
        names = [metric["pods"]["metric"]["name"] for metric in scaler["metrics"]]
        self.assertEqual(names, ["craftnet_connections", "craftnet_events_per_second"])
        self.assertGreaterEqual(scaler["behavior"]["scaleDown"]["stabilizationWindowSeconds"], 600)

    def test_ports(self) -> None:
        """Prometheus reads 9090, and only from where it is."""
        http, metrics, udp = self.one(self.manifests, "NetworkPolicy")["spec"]["ingress"]
        self.assertEqual([rule["ports"][0]["port"] for rule in (http, metrics, udp)], ["http", "metrics", "udp"])
        self.assertEqual(list(metrics["from"][0]), ["namespaceSelector"])
        for pod in self.pods():
            self.assertIn("--metrics=tcp:9090", pod["containers"][0]["args"])

    def test_udp_requests_reach_nodes_with_udp(self) -> None:
        (rule,) = self.one(self.manifests, "Ingress")["spec"]["rules"]
        backends = {path["path"]: path["backend"]["service"]["name"] for path in rule["http"]["paths"]}
        self.assertEqual(backends["/api/v1/crafting-network/udp"], "craftnet-udp")
        self.assertEqual(backends["/"], "craftnet-web")

    def test_alerts(self) -> None:
        """The rules are those of deploy/prometheus, with the address of the runbooks."""
        site = "https://docs.example/runbooks"
        values = f"udp.enabled=false,prometheusRule.enabled=true,prometheusRule.runbooks={site}/"
        manifests = self.rendered(*REQUIRED, "--set", values)
        groups = self.one(manifests, "PrometheusRule")["spec"]["groups"]
        files = [REPOSITORY / "deploy" / "prometheus" / name for name in ("alerts.yml", "recording.yml")]
        texts = [file.read_text(encoding="utf-8").replace("RUNBOOKS", site) for file in files]
        expected = [group for text in texts for group in msgspec.yaml.decode(text)["groups"]]
        self.assertEqual(groups, expected)
