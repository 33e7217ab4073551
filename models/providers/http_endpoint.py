"""Sends HTTP requests to a provider's server, over a Unix socket or TCP. The only importer of the HTTP library here.

Rule: the server is not trusted. Redirects, compressed bodies and unexpected content types are refused, lines and bodies
are bounded, and no proxy or password is taken from the environment. Every failure becomes a ModelError here, with the
server's own text cleaned and the API key removed.
"""

import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress

import httpx2

from models.errors import ContextOverflow, ModelBusy, ModelError, ProviderFailed
from models.humanize import amount
from models.providers.error_text import remark, safe_remark
from models.providers.interface import ProviderSpec
from models.providers.stream_lines import Lines

# Bytes; chosen by eye.
MAX_LINE = 1 << 20
MAX_BODY = 8 << 20
_MAX_STREAM = 64 << 20
_MAX_ERROR = 16 << 10
_CONNECTIONS = 64


class Endpoint:
    """One server, with its pool of connections."""

    def __init__(self, spec: ProviderSpec) -> None:
        self._spec = spec
        self.what = f"answering with the provider {spec.id}"
        headers = {"Accept-Encoding": "identity", "User-Agent": "docent"}
        if spec.api_key:
            headers["Authorization"] = f"Bearer {spec.api_key}"
        transport = httpx2.AsyncHTTPTransport(
            uds=str(spec.socket) if spec.socket else None,
            # the machine's own authorities; with http, loading them would waste 0.1 s
            verify=ssl.create_default_context() if spec.url.startswith("https:") else False,
            trust_env=False,
            limits=httpx2.Limits(max_connections=_CONNECTIONS),
        )
        times = spec.timeouts
        self._http = httpx2.AsyncClient(
            transport=transport,
            base_url=spec.url or "http://localhost",
            headers=headers,
            # reading has deadlines of its own, which a trickle of bytes does not extend
            timeout=httpx2.Timeout(times.first_token_s, connect=times.connect_s, pool=times.connect_s, read=None),
            trust_env=False,
            follow_redirects=False,
        )

    async def aclose(self) -> None:
        await self._http.aclose()

    async def fetch(self, method: str, path: str, body: object = None) -> bytes:
        """The whole body of a JSON reply. Raises ModelError."""
        async with self._reply(method, path, body, "application/json") as response:
            return await self._whole(response, MAX_BODY)

    async def lines(self, path: str, body: object, content_type: str) -> AsyncGenerator[bytes, None]:
        """The lines of a streamed reply; closing it closes the connection. Raises ModelError."""
        lines = Lines(MAX_LINE)
        async with self._reply("POST", path, body, content_type) as response:
            with self._bounded():
                async with aclosing(self._chunks(response, _MAX_STREAM)) as chunks:
                    async for chunk in chunks:
                        for line in lines.feed(chunk):
                            yield line
                for line in lines.finish():
                    yield line

    @asynccontextmanager
    async def _reply(self, method: str, path: str, body: object, content_type: str) -> AsyncIterator[httpx2.Response]:
        with self._translated():
            async with self._http.stream(method, path, json=body) as response:
                if response.status_code != 200:
                    raise await self._refusal(response)
                self._check(response, content_type)
                yield response

    def _check(self, response: httpx2.Response, content_type: str) -> None:
        given = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if given != content_type:
            why = f"it sent {safe_remark(given) or 'no content type'} where {content_type} was asked for"
            raise self.failed(why, f"check `kind` and the address in [providers.{self._spec.id}]")
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise self.failed("it sent a compressed reply, which is not accepted", "turn off compression there")

    async def _refusal(self, response: httpx2.Response) -> ModelError:
        status, spec = response.status_code, self._spec
        if 300 <= status < 400:
            where = safe_remark(response.headers.get("location", ""))
            why = f"it redirects ({status}) to {where}, which is not followed"
            return self.failed(why, "configure that address if it is right")
        said = remark(await self._beginning(response), spec.api_key)
        why = f"it answered {status}{f': {said}' if said else ''}"
        if status == 429:
            return ModelBusy(self.what, why, "try again in a while")
        if status in (400, 413, 422) and "context" in said.lower():
            return ContextOverflow(self.what, why, f"lower `context` in [providers.{spec.id}], or shorten the request")
        return self.failed(why, self._hint(status))

    def _hint(self, status: int) -> str:
        spec = self._spec
        if status in (401, 403):
            return f"check `api_key_file` in [providers.{spec.id}]"
        if status == 404:
            get = f", or fetch the model on that server: ollama pull {spec.model}" if spec.kind == "ollama" else ""
            return f"check `model` = {spec.model!r} and the address in [providers.{spec.id}]{get}"
        return f"look at the log of the server at {spec.place}" if status >= 500 else "check the provider's settings"

    async def _beginning(self, response: httpx2.Response) -> bytes:
        """The first bytes of an error's body, however long the body is and even if the connection breaks."""
        seen = b""
        with suppress(httpx2.TransportError):
            async with aclosing(response.aiter_raw()) as chunks:
                async for chunk in chunks:
                    seen += chunk
                    if len(seen) > _MAX_ERROR:
                        break
        return seen[:_MAX_ERROR]

    async def _whole(self, response: httpx2.Response, limit: int) -> bytes:
        with self._bounded():
            async with aclosing(self._chunks(response, limit)) as chunks:
                return b"".join([chunk async for chunk in chunks])

    async def _chunks(self, response: httpx2.Response, limit: int) -> AsyncGenerator[bytes, None]:
        seen = 0
        async with aclosing(response.aiter_raw()) as chunks:
            async for chunk in chunks:
                seen += len(chunk)
                if seen > limit:
                    raise ValueError(f"a reply of more than {amount(limit)}")
                yield chunk

    def failed(self, why: str, hint: str = "") -> ProviderFailed:
        """The error for a failure of this server."""
        return ProviderFailed(self.what, why, hint or f"look at the log of the server at {self._spec.place}")

    @contextmanager
    def _bounded(self) -> Iterator[None]:
        try:
            yield
        except ValueError as error:
            raise self.failed(f"it sent {error}") from error

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except httpx2.ConnectTimeout as error:
            raise self.failed(
                f"no connection within {self._spec.timeouts.connect_s:g} s", self._check_server()
            ) from error
        except (httpx2.ConnectError, httpx2.PoolTimeout) as error:
            why = safe_remark(str(error)) or type(error).__name__
            raise self.failed(f"no connection to {self._spec.place}: {why}", self._check_server()) from error
        except (httpx2.TransportError, httpx2.DecodingError, httpx2.InvalidURL) as error:
            why = safe_remark(str(error)) or type(error).__name__
            raise self.failed(f"the connection broke: {why}") from error

    def _check_server(self) -> str:
        spec = self._spec
        if spec.socket and spec.socket.parent.name == "docent-egress":
            return f"check `systemctl status docent-egress@{spec.socket.stem}.socket`, and the server behind it"
        return f"check that a server is running at {spec.place}"
