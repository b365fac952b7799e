"""Back ends by name, found through real plugin look-ups."""

from __future__ import annotations

import sys
from pathlib import Path
from textwrap import dedent

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

import twisted.plugins
from craftnet.errors import ConfigurationError
from craftnet.interfaces import IBackend, IBackendFactory, IBackendPlugin
from craftnet.providers.registry import Registry, factory_of, help_text, installed
from craftnet.tests.support.fakes import SteppedClock

PLUGINS = """
    from craftnet.providers.registry import BackendPlugin

    shelf = BackendPlugin("shelf", "throwaway_backend.ShelfFactory")
    broken = BackendPlugin("broken", "throwaway_backend.NoSuchFactory")
    rude = BackendPlugin("rude", "throwaway_backend.RudeFactory")
    hollow = BackendPlugin("hollow", "throwaway_backend.HollowFactory")
    empty = BackendPlugin("empty", "throwaway_backend.EmptyFactory")
    crowd = BackendPlugin("crowd", "throwaway_backend.CrowdFactory")
    absent = BackendPlugin("absent", "throwaway_backend_that_is_not_there.Factory")
"""

BACKEND = """
    from zope.interface import implementer

    from craftnet.errors import ConfigurationError
    from craftnet.interfaces import IBackend, IBackendFactory, ICluster
    from craftnet.providers.memory.backend import MemoryBackend, MemorySettings


    @implementer(IBackend)
    class Shelf:
        service = None

        def __init__(self, reactor, arguments):
            kept = MemoryBackend(reactor, MemorySettings())
            self.sessions, self.materials, self.queues = kept.sessions, kept.materials, kept.queues
            self.arguments = arguments


    @implementer(IBackendFactory)
    class ShelfFactory:
        name = "shelf"
        shared = False
        summary = "a shelf in the corner"
        arguments = {"boards": "how many boards it has"}

        def build(self, reactor, arguments):
            if arguments.get("boards") == "0":
                raise ConfigurationError("shelf: boards must be above 0")
            return Shelf(reactor, arguments)


    class EmptyFactory(ShelfFactory):
        def build(self, reactor, arguments):
            return object()


    @implementer(ICluster)
    class Crowd(Shelf):
        revocations = None
        places = None


    class CrowdFactory(ShelfFactory):
        def build(self, reactor, arguments):
            return Crowd(reactor, arguments)


    class HollowFactory:
        pass


    class RudeFactory:
        def __init__(self):
            raise RuntimeError("not today")
"""


class ShippedTests(SynchronousTestCase):
    """The back ends of this project."""

    def test_found(self) -> None:
        self.assertLessEqual({"memory", "workshop"}, set(installed()))
        for name, plugin in installed().items():
            verifyObject(IBackendPlugin, plugin)
            self.assertEqual(plugin.name, name)

    def test_factories(self) -> None:
        for name in ("memory", "workshop"):
            factory = factory_of(installed()[name])
            verifyObject(IBackendFactory, factory)
            self.assertEqual(factory.name, name)

    def test_build(self) -> None:
        registry = Registry(SteppedClock())
        for name in ("memory", "workshop"):
            verifyObject(IBackend, registry.backend(name))

    def test_same_text_same_backend(self) -> None:
        registry = Registry(SteppedClock())
        first = registry.backend("memory:capacity=5")
        self.assertIs(registry.backend("memory:capacity=5"), first)
        other = registry.backend("memory")
        self.assertIsNot(other, first)
        self.assertEqual(list(registry.built), [first, other])

    def test_unknown_name_lists_what_there_is(self) -> None:
        error = self.assertRaises(ConfigurationError, Registry(SteppedClock()).backend, "oracle")
        for words in ("oracle", "memory", "workshop"):
            self.assertIn(words, str(error))

    def test_unknown_argument_lists_what_there_is(self) -> None:
        error = self.assertRaises(ConfigurationError, Registry(SteppedClock()).backend, "memory:colour=red")
        for words in ("memory", "colour", "capacity", "retention"):
            self.assertIn(words, str(error))

    def test_not_a_spec(self) -> None:
        self.assertRaises(ConfigurationError, Registry(SteppedClock()).backend, "memory:capacity")

    def test_failed_ones_are_not_kept(self) -> None:
        registry = Registry(SteppedClock())
        self.assertRaises(ConfigurationError, registry.backend, "memory:capacity=0")
        self.assertEqual(list(registry.built), [])

    def test_help(self) -> None:
        text = help_text()
        for words in ("memory", "workshop", "capacity=", "retention=", "--backend"):
            self.assertIn(words, text)


class ThirdPartyTests(SynchronousTestCase):
    """A package beside this one, with its own `twisted/plugins`, in a temporary folder."""

    def setUp(self) -> None:
        root = Path(self.mktemp())
        plugins = root / "twisted" / "plugins"
        plugins.mkdir(parents=True)
        (plugins / "throwaway_dropin.py").write_text(dedent(PLUGINS))
        (plugins / "throwaway_wreck.py").write_text("raise RuntimeError('a drop-in that cannot be imported')\n")
        (root / "throwaway_backend.py").write_text(dedent(BACKEND))
        self.patch(sys, "path", [*sys.path, str(root.resolve())])
        self.patch(twisted.plugins, "__path__", [*twisted.plugins.__path__, str(plugins.resolve())])
        self.addCleanup(self._forget)

    def _forget(self) -> None:
        for name in [name for name in sys.modules if "throwaway" in name]:
            del sys.modules[name]

    def found(self) -> dict[str, IBackendPlugin]:
        """The installed back ends; the broken one is logged, and absent."""
        plugins = installed()
        self.flushLoggedErrors(RuntimeError)
        return plugins

    def refused(self, text: str) -> str:
        """Why there is no such back end."""
        error = self.assertRaises(ConfigurationError, Registry(SteppedClock()).backend, text)
        self.flushLoggedErrors(RuntimeError)
        return str(error)

    def test_found_beside_ours(self) -> None:
        self.assertLessEqual({"memory", "workshop", "shelf", "broken"}, set(self.found()))

    def test_nothing_of_it_is_imported_before_it_is_chosen(self) -> None:
        self.found()
        self.assertNotIn("throwaway_backend", sys.modules)

    def test_built(self) -> None:
        backend = Registry(SteppedClock()).backend("shelf:boards=3")
        self.flushLoggedErrors(RuntimeError)
        verifyObject(IBackend, backend)
        self.assertEqual(getattr(backend, "arguments", None), {"boards": "3"})

    def test_its_own_refusal(self) -> None:
        self.assertIn("boards must be above 0", self.refused("shelf:boards=0"))

    def test_its_arguments_are_checked(self) -> None:
        self.assertIn("boards", self.refused("shelf:legs=4"))

    def test_broken_ones_are_named(self) -> None:
        """Whether the package, the factory, its making, its interface, its product or half of that is missing."""
        for name in ("absent", "broken", "rude", "hollow", "empty", "crowd"):
            self.assertIn(f"back end {name}", self.refused(name))
        self.assertIn("not today", self.refused("rude"))

    def test_listed_when_a_name_is_unknown(self) -> None:
        self.assertIn("shelf", self.refused("oracle"))

    def test_help_goes_on_past_broken_ones(self) -> None:
        text = help_text()
        self.flushLoggedErrors(RuntimeError)
        self.assertIn("shelf: a shelf in the corner", text)
        self.assertIn("boards=…  how many boards it has", text)
        for name in ("absent", "broken", "rude", "hollow"):
            self.assertIn(f"{name}: not usable", text)
        self.assertIn("memory", text)
