"""``sdnblock shell``: p4runtime-shell, a foreign client, on our switch beside the controller."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdnblock.cli import shell
from sdnblock.errors import SdnblockError, SwitchError
from sdnblock.switches.settings import SwitchSettings, TlsFiles
from tests.cli_kit import Cli, SwitchThread, switch_thread
from tests.redis_server import RedisServer
from tests.test_cli_switch import in_step, until


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as redis:
        yield redis


@pytest.fixture
def cli(server: RedisServer, tmp_path: Path) -> Cli:
    server.cli("FLUSHALL")
    return Cli(server, tmp_path)


@pytest.fixture
def switch(cli: Cli) -> Iterator[SwitchThread]:
    with switch_thread() as one:
        cli.configure(f'[[switch]]\nname = "edge1"\naddress = "{one.address}"')
        yield one


@pytest.fixture(scope="session")
def installed() -> None:
    """p4runtime-shell, installed where the command looks for it."""
    try:
        shell.prepare()
    except SdnblockError as error:
        pytest.skip(str(error))


@pytest.mark.usefixtures("installed")
@pytest.mark.timeout(180)
def test_it_reads_beside_the_controller_and_writes_only_as_primary(
    cli: Cli, switch: SwitchThread
) -> None:
    cli("block", "add", "203.0.113.7", "203.0.113.8")
    insert = (
        "entry = table_entry['source_v4'](action='drop')\n"
        "entry.match['source'] = '192.0.2.99'\n"
        "entry.insert()\n"
    )
    with in_step(cli):
        done = cli.spawn(
            "shell",
            "edge1",
            stdin="print('held:', len(list(table_entry['source_v4'].read())))\n" + insert,
            env={"HOME": str(cli.folder)},
        )
        said = done.out + done.err
        assert done.status == 0, said
        assert "You are not the primary client" in said
        assert "held: 2" in said
        assert "PERMISSION_DENIED" in said
        assert cli("switch", "diff").status == 0
        done = cli.spawn("shell", "edge1", "--primary", stdin=insert, env={"HOME": str(cli.folder)})
        assert done.status == 0
        assert "You are not the primary client" not in done.out + done.err
        assert "PERMISSION_DENIED" not in done.out + done.err
        assert done.err.startswith(
            "edge1: the controller cannot write to it until this shell ends\n"
        )
        # The controller is back, and has put right what was written.
        until(lambda: cli("switch", "diff", ok=False).status == 0)
        cli("block", "add", "203.0.113.9")
        until(lambda: len(cli.json("switch", "entries")) == 3)


@pytest.mark.usefixtures("installed")
def test_arguments_are_handed_on(cli: Cli, switch: SwitchThread) -> None:
    with in_step(cli):
        pass
    done = cli.spawn("shell", "edge1", "--", "--help", env={"HOME": str(cli.folder)})
    assert "--election-id <Hi>,<Lo>" in done.out


def test_the_options_fit_the_switch() -> None:
    settings = SwitchSettings("edge1", "192.0.2.1:9559", device_id=7)
    address, device, election = shell._options(settings, primary=False)
    assert (address, device) == ("--grpc-addr=192.0.2.1:9559", "--device-id=7")
    assert election.startswith("--election-id=0,")  # never above a controller's
    high = int(shell._options(settings, primary=True)[2].partition("=")[2].partition(",")[0])
    assert high > 1_700_000_000_000_000_000
    tls = TlsFiles(ca=Path("/ca"), certificate=Path("/c"), key=Path("/k"))
    options = shell._options(SwitchSettings("e", tls=tls), primary=False)
    assert options[3:] == ["--ssl", "--cacert=/ca", "--cert=/c", "--private-key=/k"]
    with pytest.raises(SwitchError, match="another server name"):
        shell._options(SwitchSettings("e", tls=TlsFiles(server_name="x")), primary=False)


def test_an_installation_that_fails_is_one_line(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place = cli.folder / "cache"
    monkeypatch.setattr(shell, "environment", lambda: place)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(SdnblockError) as caught:
        shell.prepare()
    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith("cannot install p4runtime-shell: ERROR: ")
    assert line.endswith("(it needs the Python registry (or a mirror that pip is configured for))")
    assert capsys.readouterr().err == (
        f"installing p4runtime-shell 0.0.6 into {place} (only once)\n"
    )
    with pytest.raises(SdnblockError):  # what is half installed is not taken for whole
        shell.prepare()


def test_outside_a_checkout_it_goes_to_the_cache(tmp_path: Path) -> None:
    package = tmp_path / "site" / "sdnblock"
    shutil.copytree(Path(shell.__file__).parents[1], package, ignore=lambda *_: ["__pycache__"])
    program = "from sdnblock.cli.shell import environment; print(environment())"
    for variables, expected in (
        ({"XDG_CACHE_HOME": "/var/x"}, "/var/x/sdnblock/p4runtime-shell-0.0.6"),
        ({"XDG_CACHE_HOME": "", "HOME": "/h"}, "/h/.cache/sdnblock/p4runtime-shell-0.0.6"),
    ):
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, **variables, "PYTHONPATH": str(package.parent)},
            capture_output=True,
            text=True,
            check=True,
            cwd=tmp_path,
        )
        assert done.stdout.strip() == expected
