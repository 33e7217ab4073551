"""Names are quoted so that a shell reads them back unchanged."""

import subprocess

import pytest

from appliance.display.path_names import shell_quote


@pytest.mark.parametrize(
    "name",
    [
        b"plain.pdf",
        b"two words.pdf",
        b'it\'s "quoted".pdf',
        b"line\nfeed.pdf",
        b"bad\xff.pdf",
        b"\xc3\xa4$(id).pdf",
        b"a\\b",
    ],
)
def test_bash_reads_back_the_same_bytes(name: bytes) -> None:
    done = subprocess.run(["bash", "-c", f"printf %s {shell_quote(name)}"], capture_output=True, check=True)
    assert done.stdout == name
