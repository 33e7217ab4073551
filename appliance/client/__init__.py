"""The client of the socket: the only way in for the CLI and the terminal UI. Door: `client`."""

from appliance.client.async_client import AsyncClient
from appliance.client.client import (
    ApiError,
    Client,
    DocentError,
    PagePicture,
    PageView,
    Progress,
    ServiceUnreachable,
)

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
