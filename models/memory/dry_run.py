"""Gets llama.cpp's own account of a load from a throw-away child, which allocates no model memory.

Rule: the child is not trusted. It gets one request, may send one report of limited length, has a deadline, and is
always killed and waited for.
"""

import asyncio
import contextlib
from pathlib import Path
from typing import Final

from models.child_process.dry_run_messages import MAX_REPORT, Report, decode_report
from models.child_process.messages import HEADER_BYTES, Load, ProtocolError, encode, path_text
from models.child_process.spawner import Process, Spawner
from models.types import LoadSettings

MODULE: Final = "models.worker.dry_run"
_END_S: Final = 2.0


class DryRunFailed(Exception):
    """The dry run gave no report; the text says why."""


async def dry_run(
    path: Path, settings: LoadSettings, spawner: Spawner, *, deadline_s: float = 30.0, module: str = MODULE
) -> Report:
    """A report with `sizes` of what loading the file with these settings would take. Raises DryRunFailed."""
    try:
        process = await spawner.spawn(module)
    except OSError as error:
        raise DryRunFailed(f"no process could be started: {error}") from error
    try:
        async with asyncio.timeout(deadline_s):
            report = await _ask(process, Load(path=path_text(path), settings=settings))
    except TimeoutError:
        raise DryRunFailed(f"it gave no answer within {deadline_s:g} s") from None
    except ProtocolError as error:
        raise DryRunFailed(f"its process sent an invalid report: {error}") from error
    except (OSError, EOFError) as error:
        raise DryRunFailed(await _last_words(process)) from error
    finally:
        await _end(process)
    if report.sizes is None:
        raise DryRunFailed(report.why or "it gave no reason")
    return report


async def _ask(process: Process, request: Load) -> Report:
    reader, writer = await asyncio.open_unix_connection(sock=process.connection)
    try:
        writer.write(encode(request))
        length = int.from_bytes(await reader.readexactly(HEADER_BYTES), "big")
        if length > MAX_REPORT:
            raise ProtocolError(f"a report of {length} bytes was announced, the limit is {MAX_REPORT}")
        return decode_report(await reader.readexactly(length))
    finally:
        writer.close()


async def _last_words(process: Process) -> str:
    status = await _end(process)
    return f"its process ended with status {status}: {process.last_words}"


async def _end(process: Process) -> int | None:
    process.kill()
    with contextlib.suppress(TimeoutError):  # in uninterruptible sleep: the kernel ends it later
        async with asyncio.timeout(_END_S):
            return await process.ended()
    return None
