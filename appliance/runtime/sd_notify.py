"""Reports the service's state to systemd; does nothing where the service was not started by it.

Protocol: sd_notify(3), datagrams of `KEY=value` lines to the Unix socket named by `$NOTIFY_SOCKET`.
"""

import os
import socket


def notify(**values: str | int) -> bool:
    """Send `KEY=value` lines, such as READY=1 or STATUS="…"; returns False if they could not be sent."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    target = "\0" + address[1:] if address.startswith("@") else address
    message = "\n".join(f"{key}={value}" for key, value in values.items())
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        try:
            sender.sendto(message.encode(), target)
        except OSError:
            return False
    return True


def watchdog_seconds() -> float | None:
    """Interval at which to send WATCHDOG=1: half of what systemd allows, as it advises; None without a watchdog."""
    allowed = os.environ.get("WATCHDOG_USEC")
    if not allowed or os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(allowed) / 2e6
