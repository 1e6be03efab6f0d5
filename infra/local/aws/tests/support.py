"""MiniStack's modules with the plugin in them, without a server."""
import os
import unittest

os.environ.setdefault("AUTH", "false")

import ministack_plugin
from ministack.services import eventbridge

ministack_plugin.install()


class PluginTest(unittest.TestCase):
    """Collects what is sent to the default event bus."""

    def setUp(self):
        self.sent = []
        original = eventbridge._put_events

        def collect(data, *rest, **options):
            self.sent.extend(data["Entries"])
            return original(data, *rest, **options)

        eventbridge._put_events = collect
        self.addCleanup(setattr, eventbridge, "_put_events", original)
