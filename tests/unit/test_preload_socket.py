"""The preloaded process's socket: one user's, and nothing but a stage of this checkout runs through it."""

import marshal
import os
import socket
import stat
import subprocess
import sys
import tempfile

import pytest
from helpers.preloaded import ALONE, SCRIPTS

from ballast import limits
from ballast.running import preload, watch

NOBODY = 65534


def job(**changed) -> dict:
    here = {"directory": os.getcwd(), "environment": ALONE, "package": preload.PACKAGE}
    return {"stage": "data", "arguments": [], "keeps": None} | here | changed


def sent(address: str, message: bytes | dict) -> bytes:
    """What the process answers to a message; nothing if it hangs up."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(address)
        null = os.open(os.devnull, os.O_RDWR)
        try:
            if isinstance(message, dict):
                preload.send(client, message, [null] * 3)
            else:
                client.sendall(message)
                client.shutdown(socket.SHUT_WR)
            return client.recv(16)
        except (BrokenPipeError, ConnectionResetError):
            return b""
        finally:
            os.close(null)


def as_nobody(address: str) -> bytes:
    """What the process answers to a job of another user, or the name of the error."""
    reads, writes = os.pipe()
    if not (pid := os.fork()):
        try:
            os.setuid(NOBODY)
            os.write(writes, sent(address, job(package="elsewhere")))
        except OSError as error:
            os.write(writes, type(error).__name__.encode())
        finally:
            os._exit(0)
    os.close(writes)
    os.waitpid(pid, 0)
    with os.fdopen(reads, "rb") as said:
        return said.read()


def test_only_this_user_reaches_the_folder(preloaded):
    folder = os.stat(os.path.dirname(preloaded["BALLAST_PRELOAD"]))
    assert stat.S_IMODE(folder.st_mode) == 0o700 and folder.st_uid == os.getuid()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can act as another user")
def test_another_user_is_refused_even_where_the_folder_is_open(preloaded):
    address = preloaded["BALLAST_PRELOAD"]
    assert as_nobody(address) == b"PermissionError"
    os.chmod(os.path.dirname(address), 0o755)
    os.chmod(address, 0o777)
    try:
        assert as_nobody(address) == b"", "it hangs up"
    finally:
        os.chmod(os.path.dirname(address), 0o700)
    assert sent(address, job(package="elsewhere")) == b"outdated\n", "and still serves its own user"


def test_a_message_that_is_no_stage_of_this_checkout_runs_nothing(preloaded, tmp_path):
    address, ran = preloaded["BALLAST_PRELOAD"], tmp_path / "ran"
    (tmp_path / "evil.py").write_text(f"open({str(ran)!r}, 'w')")
    path = os.path.relpath(tmp_path / "evil", SCRIPTS)
    for message in (
        job(stage=path),
        job(stage=str(tmp_path / "evil")),
        job(stage="evil", directory=str(tmp_path)),
        job(arguments="--help"),
        job(environment={"A": 1}),
        {"stage": "data"},
        job(more=1),
        b"job\n" + (2**60).to_bytes(8, sys.byteorder) + b"x",
        b"job\n" + (5).to_bytes(8, sys.byteorder) + b"\xff" * 5,
        b"job\n" + len(marshal.dumps([1])).to_bytes(8, sys.byteorder) + marshal.dumps([1]),
        b"job\n",
        b"",
    ):
        assert sent(address, message) == b"", message
    assert not ran.exists()
    assert sent(address, job(package="elsewhere")) == b"outdated\n", "it goes on"


def test_a_stage_by_a_path_is_no_stage_without_the_process_either(tmp_path):
    (tmp_path / "evil.py").write_text("print('ran')")
    stage = os.path.relpath(tmp_path / "evil", SCRIPTS)
    done = subprocess.run([sys.executable, SCRIPTS / "stage.py", stage], env=ALONE, capture_output=True, text=True)
    assert done.returncode == 1 and "ran" not in done.stdout and "there is no scripts/" in done.stderr


def test_a_process_of_another_user_gets_no_job(monkeypatch, tmp_path, capsys):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        listener.listen()
        monkeypatch.setenv(preload.ADDRESS, str(tmp_path / "socket"))
        monkeypatch.setattr(preload, "peer", lambda connection: os.getuid() + 1)
        assert preload.run("data", []) is None
        client, _ = listener.accept()
        assert client.recv(9) == b"", "nothing was sent: no environment, no arguments"
    assert "belongs to another user" in capsys.readouterr().err


def test_a_long_temporary_directory_has_its_socket_elsewhere(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "short"))
    monkeypatch.setattr(limits, "SOCKET", len(f"{tmp_path}/short/{watch.PREFIX}12345678/socket"))
    assert watch._place() == f"{tmp_path}/short"
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "longer"))
    assert watch._place() == "/tmp"
