"""The configurations that docs/evidence.md shows, for tests that run them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

PAGE: Final = (Path(__file__).parent.parent / "docs" / "evidence.md").read_text()


def example(language: str) -> str:
    """The one block in a language."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


KAMAILIO: Final = """\
#!KAMAILIO
debug=1
log_stderror=yes
children=2
tcp_children=1
disable_sctp=yes
auto_aliases=no
dns=no
rev_dns=no
"""
"""What any configuration of Kamailio's begins with here."""


def hep_settings(url: str, key: str) -> str:
    """The page's lines for siptrace, with a destination and a key."""
    text = example("kamailio-hep")
    assert "sip:127.0.0.1:9060" in text and '"KEY"' in text
    return text.replace("sip:127.0.0.1:9060", url).replace('"KEY"', f'"{key}"')


def events(place: str) -> str:
    """The page's configuration that writes events, into the Redis at ``place``."""
    text = example("kamailio-events")
    assert "addr=127.0.0.1;port=6379" in text
    return text.replace("addr=127.0.0.1;port=6379", place)


_SLIDE: Final = """\
loadmodule "pv.so"
loadmodule "textops.so"
loadmodule "ipops.so"
loadmodule "ndb_redis.so"
modparam("ndb_redis", "server", "name=local;PLACE")

request_route {
    redis_cmd("local", "MULTI", "r");
    redis_cmd("local", "HSET event:CI @timestamp $TS", "r");
    redis_cmd("local", "HSET event:CI sourceip $si", "r");
    redis_cmd("local", "HSET event:CI toip $Ri", "r");
    redis_cmd("local", "HSET event:CI method $(rm{s.escape.common})", "r");
    redis_cmd("local", "HSET event:CI from $(fu{s.escape.common})", "r");
    redis_cmd("local", "HSET event:CI to $(tu{s.escape.common})", "r");
    redis_cmd("local", "HSET event:CI dialled '$(tU{s.escape.common})'", "r");
    redis_cmd("local", "HSET event:CI ua $(ua{s.escape.common})", "r");
    $var(user_agent) = $(ua{re.subst,/^([a-zA-Z0-9 -]+)(.*)/\\1/});
    redis_cmd("local", "HSET event:CI short_ua $(var(user_agent){s.escape.common})", "r");
    redis_cmd("local", "HSET event:CI node $HN(n)", "r");
    redis_cmd("local", "EXPIRE event:CI 10", "r");
    redis_cmd("local", "LPUSH rate_events $(ci{s.escape.common})", "r");
    redis_cmd("local", "LPUSH events $(ci{s.escape.common})", "r");
    redis_cmd("local", "EXEC", "r");
    drop;
}
"""


def events_of_the_slide(place: str) -> str:
    """The same as the talk has it, made to load: $() for ${}, $HN's module, a regular
    expression without an empty range."""
    return _SLIDE.replace("PLACE", place).replace("CI", "$(ci{s.escape.common})")
