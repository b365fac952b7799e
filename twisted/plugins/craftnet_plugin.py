"""`twistd craftnet`."""

from twisted.application.service import ServiceMaker

craftnet = ServiceMaker(
    "craftnet", "craftnet.tap", "The crafting network service: HTTP, WebSocket and UDP.", "craftnet"
)
