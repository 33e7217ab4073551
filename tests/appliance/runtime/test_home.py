"""The home's folders, lock and socket."""

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.config.places import Places
from appliance.errors import AlreadyRunning, ConfigError
from appliance.runtime.home import bound_socket, locked, make_folders


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path, tmp_path / "docent.sock", tmp_path / "docent.toml")


def test_a_second_service_on_the_same_home_is_refused_by_name(places: Places) -> None:
    with locked(places), pytest.raises(AlreadyRunning, match=str(places.home)), locked(places):
        pass


def test_a_lock_ends_with_the_process_that_held_it(places: Places) -> None:
    code = f"import fcntl,os; fcntl.flock(os.open({str(places.lock)!r}, os.O_RDWR | os.O_CREAT), fcntl.LOCK_EX); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", code], check=False)
    with locked(places):
        pass


def test_only_its_owner_and_group_may_use_the_socket(places: Places) -> None:
    with bound_socket(places.socket):
        assert stat.S_IMODE(places.socket.stat().st_mode) == 0o660
    assert not places.socket.exists()


def leave_a_socket(path: Path) -> None:
    """A socket file to which no process listens, as after a power cut."""
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(os.fspath(path))


def test_a_stale_socket_is_replaced(places: Places) -> None:
    leave_a_socket(places.socket)
    with bound_socket(places.socket) as listener:
        listener.listen()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(os.fspath(places.socket))


def test_the_socket_of_a_running_service_is_not_taken(places: Places) -> None:
    with bound_socket(places.socket) as listener:
        listener.listen()
        with pytest.raises(AlreadyRunning, match="of another home answers there"), bound_socket(places.socket):
            pass
        assert places.socket.exists()


def test_only_the_socket_of_ones_own_is_removed_at_the_end(places: Places) -> None:
    with bound_socket(places.socket):
        places.socket.unlink()
        leave_a_socket(places.socket)
    assert places.socket.exists()


def test_a_file_with_the_sockets_name_is_left_alone(places: Places) -> None:
    places.socket.write_text("my notes")
    with pytest.raises(ConfigError, match="not a socket"), bound_socket(places.socket):
        pass
    assert places.socket.read_text() == "my notes"


def test_a_socket_path_that_is_too_long_is_refused_with_its_length_and_the_limit(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="107"), bound_socket(tmp_path / ("x" * 120)):
        pass


def test_a_home_that_cannot_be_made_names_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    home = tmp_path / "file" / "home"
    with pytest.raises(ConfigError, match="Not a directory"):
        make_folders(Places(home, home / "docent.sock", home / "docent.toml"))
