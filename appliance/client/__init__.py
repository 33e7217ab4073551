"""Talks to the service's socket, for the CLI and the terminal UI.

Rule: knows only the routes and `wire`; nothing here knows how the service works.
Door: `client`.
"""

from appliance.client.async_client import AsyncClient
from appliance.client.client import ApiError, Client, DocentError, PageView, Progress, ServiceUnreachable
from appliance.client.replies import PagePicture

__all__ = [
    "ApiError",
    "AsyncClient",
    "Client",
    "DocentError",
    "PagePicture",
    "PageView",
    "Progress",
    "ServiceUnreachable",
]
