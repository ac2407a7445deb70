"""The configuration: defaults that work, and errors that say where and what."""

from __future__ import annotations

import dataclasses
import re
import tomllib
import typing
from pathlib import Path

import pytest

from sdnblock.block import Action, parse_prefix
from sdnblock.config import Config, load_config, parse_config
from sdnblock.detect.fraud.profiles import Profile
from sdnblock.detect.numbers import NumberSettings
from sdnblock.detect.proof import ProofSettings
from sdnblock.detect.registry import ENTRIES
from sdnblock.detect.request_rate import RequestRateSettings
from sdnblock.errors import ConfigError
from sdnblock.evidence.senders import HepSettings
from tests.native_build import NATIVE

EXAMPLE = Path(__file__).parents[1] / "sdnblock.example.toml"
OPENFLOW = "[[switch]]\nname='of'\nprotocol='openflow'\n"


def parse(text: str) -> Config:
    return parse_config(tomllib.loads(text), Path("/etc/sdnblock/sdnblock.toml"))


def test_no_file_is_all_defaults(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SDNBLOCK_CONFIG", raising=False)
    config = load_config()
    assert config.source is None
    assert config.redis.url == "redis://127.0.0.1:6379/0"
    assert config.detect.of(RequestRateSettings).action is Action.LIMIT
    assert config.switches == ()


def test_the_example_is_valid_as_it_is() -> None:
    config = load_config(EXAMPLE)
    assert [switch.name for switch in config.switches] == ["edge1"]


def test_the_example_says_the_defaults() -> None:
    """Every commented key, taken in, is known, and is the default where it is one value."""
    skip = (
        *("password", "username", "tls_", "sentinel", "p4info", "device_config", "ports = "),
        *("certificate", "key ", "key_file", "ca ", "server_name", "prefixes", "file = "),
    )
    lines = []
    for line in EXAMPLE.read_text().splitlines():
        bare = line.removeprefix("# ")
        is_key = line.startswith("# ") and " = " in bare and bare.split(" = ")[0].isidentifier()
        if is_key and not bare.startswith(skip):
            lines.append(bare)
        elif not line.startswith("#"):
            lines.append(line)
    taken = parse("\n".join(lines))
    plain = load_config(EXAMPLE)
    assert taken.redis == plain.redis
    assert taken.controller == plain.controller
    assert taken.detect == plain.detect
    assert taken.safety == plain.safety
    assert taken.switches == plain.switches
    assert (taken.hep, taken.kamailio) == (plain.hep, plain.kamailio)


def test_everything_set() -> None:
    config = parse(
        """
        [redis]
        url = "rediss://r.example.net:6380/2"
        password_file = "secret"
        [[switch]]
        name = "edge1"
        trusted_ports = [2, 3]
        flood_ports = [1, 2]
        target = "bmv2"
        forward = {"02:00:00:00:00:01" = 2}
        [sip]
        ports = ["udp/5060", "tcp/5061-5062"]
        [limit]
        packets_per_second = 5
        [detect.request_rate]
        threshold = 20
        action = "drop"
        for = "1h"
        [allow]
        prefixes = ["198.51.100.0/24", "2001:db8::1"]
        [safety]
        own_prefixes = ["192.0.2.0/24"]
        [hep]
        enabled = true
        listen = "[2001:db8::1]:9060"
        senders = ["2001:db8::/32", "192.0.2.9"]
        key_file = "hep.key"
        [kamailio]
        enabled = true
        redis = {url = "unix:///run/kamailio/redis.sock"}
        """
    )
    (switch,) = config.switches
    assert switch.trusted_ports == {2, 3}
    assert switch.forward == {b"\x02\0\0\0\0\x01": 2}
    assert switch.sip_ports == {(17, 5060), (6, 5061), (6, 5062)}
    assert (switch.limit_rate, switch.request_threshold) == (5, 20)
    assert config.detect.of(RequestRateSettings).seconds == 3600
    assert config.redis.password_file == Path("/etc/sdnblock/secret")
    assert parse_prefix("2001:db8::1") in config.allow
    assert config.hep.endpoint() == ("2001:db8::1", 9060)
    assert config.hep.key_file == Path("/etc/sdnblock/hep.key")
    assert config.hep.senders == (parse_prefix("2001:db8::/32"), parse_prefix("192.0.2.9"))
    assert config.kamailio.redis is not None
    assert config.kamailio.redis.url == "unix:///run/kamailio/redis.sock"


@pytest.mark.parametrize(
    "datapath_id", ["0x5d", "93", "'000000000000005d'", "'00:00:00:00:00:00:00:5D'"]
)
def test_an_openflow_switch_is_named_by_its_datapath_id(datapath_id: str) -> None:
    text = f"{OPENFLOW}datapath_id={datapath_id}\ntrusted_ports=[4000000000]"
    (switch,) = parse(text).switches
    assert (switch.protocol, switch.datapath_id) == ("openflow", 0x5D)
    assert (switch.address, switch.tls) == (":6653", None)
    assert switch.trusted_ports == {4000000000}
    largest = parse(f"{OPENFLOW}datapath_id='{'ff' * 8}'").switches[0]
    assert largest.datapath_id == (1 << 64) - 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[redsi]\nurl='x'", "redsi: unknown key; did you mean redis?"),
        ("[redis]\nulr='x'", "redis.ulr: unknown key; did you mean url?"),
        ("[redis]\nurl='http://x'", "redis.url: the Redis URL must begin with"),
        ("redis = 3", "redis: must be a table"),
        ("[[switch]]\naddress='x'", "switch[1].name: every switch needs a name"),
        ("[[switch]]\nname='a'\n[[switch]]\nname='a'", "two switches are named 'a'"),
        ("[[switch]]\nname='a'\nprotocol='netconf'", "must be one of p4runtime, openflow"),
        (OPENFLOW, "every OpenFlow switch needs its id"),
        (f"{OPENFLOW}datapath_id='5d'", "every OpenFlow switch needs its id"),
        (f"{OPENFLOW}datapath_id=0", "every OpenFlow switch needs its id"),
        (f"{OPENFLOW}datapath_id=true", "must be a whole number or a text"),
        (f"{OPENFLOW}datapath_id=1\ndevice_id=1", "device_id: unknown key"),
        (f"{OPENFLOW}datapath_id=1\naddress='192.0.2.1'", "is not host:port, :port"),
        (f"{OPENFLOW}datapath_id=1\ntls={{ca='a'}}", "ca, certificate and key are all needed"),
        (
            f"{OPENFLOW}datapath_id=1\n{OPENFLOW.replace('of', 'b')}datapath_id=1",
            "two switches have the datapath_id 0000000000000001",
        ),
        (
            f"{OPENFLOW}datapath_id=1\ntls={{ca='a', certificate='b', key='c'}}\n"
            f"{OPENFLOW.replace('of', 'b')}datapath_id=2",
            "switches that connect to :6653 need the same tls",
        ),
        ("[[switch]]\nname='a'\ntrusted_ports=['x']", "list of numbers from 1 to 511"),
        ("[[switch]]\nname='a'\ntrusted_ports=[0]", "list of numbers from 1 to 511"),
        ("[[switch]]\nname='a'\ndevice_id=true", "must be a whole number"),
        ("[[switch]]\nname='a'\nforward={nonsense=1}", "is not a MAC address"),
        ("[switch]\nname='a'", "must be tables, written [[switch]]"),
        ("[sip]\nports=['sctp/5060']", "is not like udp/5060"),
        ("[sip]\nports=['udp/5090-5060']", "is not like udp/5060"),
        ("[sip]\nports=['udp/1-60000']", "at most 256"),
        ("[detect.request_rate]\naction='kill'", "unknown action 'kill'"),
        ("[detect.request_rate]\nfor='-5m'", "is not a duration"),
        ("[detect.request_rate]\nfor='forever'", "give a duration"),
        ("[detect.request_rate]\nthreshold=100000", "must be from 0 to 65535"),
        ("[detect]\nrequest_rat={}", "did you mean request_rate?"),
        ("[allow]\nprefixes=['0.0.0.0/0']", "allow.prefixes: '0.0.0.0/0' is the whole Internet"),
        ("[allow]\nprefixes=['10.0.0.1/8']", "did you mean 10.0.0.0/8?"),
        ("[limit]\npackets_per_second=0", "must be from 1"),
        ("[hep]\nenabled=true", "hep.enabled: needs safety.own_prefixes"),
        ("[hep]\nlisten='localhost:9060'", "hep.listen: 'localhost:9060' is not like"),
        ("[hep]\nlisten='::1:9060'", "is not like 127.0.0.1:9060 or [2001:db8::1]:9060"),
        ("[hep]\nlisten='127.0.0.1:90600'", "is not like"),
        ("[hep]\nlisten='0.0.0.0:9060'", "hep.senders: 0.0.0.0:9060 can be reached from else"),
        ("[hep]\nlisten='[::]:9060'\nkey='x'", "hep.senders: [::]:9060 can be reached"),
        ("[hep]\nsenders=['192.0.2.0/24']", "192.0.2.0/24 is another machine: that needs a key"),
        ("[hep]\nsenders=['127.0.0.0/8', '::/64']", "the sender ::/64 is another machine"),
        ("[hep]\nsenders=['10.8.0.0/24']\nkeyless=['10.8.0.2']", "10.8.0.0/24 is another"),
        ("[hep]\nsenders=[]", "hep.senders: is empty"),
        ("[hep]\nkey=''", "hep.key: is empty"),
        ("[hep]\nkey='a'\nkey_file='b'", "give key or key_file, not both"),
        ("[kamailio]\nenabled=true", "kamailio.enabled: needs safety.own_prefixes"),
        ("[kamailio]\nprefix='a b'", "kamailio.prefix: must be printable ASCII"),
        ("[kamailio.redis]\nurl='http://x'", "kamailio.redis.url: the Redis URL must begin"),
        ("[controller]\nresync_interval='soon'", "must be a number"),
        ("[controller]\nlog_level='loud'", "must be one of debug, info, warning, error"),
    ],
)
def test_mistakes_are_named(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    message = str(caught.value)
    assert message.startswith("/etc/sdnblock/sdnblock.toml: ")
    assert words in message
    assert "\n" not in message


def test_the_page_about_evidence_is_valid_as_it_is() -> None:
    page = (EXAMPLE.parent / "docs" / "evidence.md").read_text()
    config = parse("\n".join(re.findall(r"^```toml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)))
    assert config.hep.enabled
    assert config.kamailio.enabled


@pytest.mark.parametrize(
    "text",
    [
        "[hep]\nlisten='0.0.0.0:9060'\nsenders=['192.0.2.9']\nkey='x'",
        "[hep]\nlisten='0.0.0.0:9060'\nsenders=['10.8.0.2', '127.0.0.1']\nkeyless=['10.8.0.0/24']",
        "[hep]\nenabled=true\n[safety]\nown_prefixes=['192.0.2.0/24']",
    ],
)
def test_ways_to_take_hep(text: str) -> None:
    parse(text)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*No such file"):
        load_config(tmp_path / "none.toml")
    bad = tmp_path / "bad.toml"
    bad.write_bytes(b"[redis\n")
    with pytest.raises(ConfigError, match="is not TOML"):
        load_config(bad)
    bad.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="is not TOML"):
        load_config(bad)
    bad.write_bytes(b"#" * (1 << 21))
    with pytest.raises(ConfigError, match="larger than a megabyte"):
        load_config(bad)


READ = [*(entry.settings for entry in ENTRIES), ProofSettings, NumberSettings, HepSettings, Profile]


@pytest.mark.skipif(NATIVE, reason="machine code has lost its annotations")
@pytest.mark.parametrize("settings", READ, ids=lambda settings: settings.__name__)
def test_what_is_read_of_a_field_is_what_it_holds(settings: type) -> None:
    """A field is read by its default and metadata; its annotation must say the same."""
    hints = typing.get_type_hints(settings)
    for field in dataclasses.fields(settings):
        hint, default, kind = hints[field.name], field.default, field.metadata.get("kind")
        parsed = "parse" in field.metadata
        if default is None:
            assert typing.get_args(hint) == (kind, type(None)), field.name
        elif not isinstance(default, tuple):
            assert type(default) is hint or parsed, field.name
        elif hint == tuple[str, ...]:
            assert kind is None, field.name
        else:
            assert parsed or typing.get_args(hint) == (kind, ...), field.name
