"""What makes a SIP server report to the controller (docs/evidence.md), and what is ours."""

from __future__ import annotations

from typing import Final

from demo.network import SERVER

HEP: Final = """\
loadmodule "siptrace.so"
modparam("siptrace", "trace_on", 1)
modparam("siptrace", "trace_mode", 1)
modparam("siptrace", "trace_to_database", 0)
modparam("siptrace", "hep_mode_on", 1)
modparam("siptrace", "hep_version", 3)
modparam("siptrace", "auth_key", "attacks")
modparam("siptrace", "duplicate_uri", "sip:127.0.0.1:9060")
"""
SETTINGS: Final = f"""
[hep]
enabled = true
senders = ["{SERVER}", "127.0.0.1"]
key = "attacks"
[detect.foreign_domain]
domains = ["example.net"]
[detect.fraud]
[[detect.fraud.profile]]
name = "abroad"
prefixes = ["00"]
cpm_critical = 6
"""
