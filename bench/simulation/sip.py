"""SIP messages as objects, built without text: a simulation needs tens of millions."""

from __future__ import annotations

from dataclasses import dataclass

from sdnblock.evidence.sip import SipMessage

DOMAIN = "sip.example.net"


@dataclass(slots=True)
class Ask:
    """What a request says."""

    method: str
    uri: str
    sender: str
    """The From address, without tag."""
    to: str
    call_id: str
    cseq: int
    branch: str
    via: str
    """Host and port that the client takes for its own."""
    agent: str
    tag: str = "f"
    to_tag: str = ""
    credential: str = ""
    contact: str = ""
    expires: str = ""

    def message(self) -> SipMessage:
        """As the parser would read it."""
        fields = {
            "via": f"SIP/2.0/UDP {self.via};rport;branch={self.branch}",
            "from": f"{self.sender};tag={self.tag}",
            "to": f"{self.to};tag={self.to_tag}" if self.to_tag else self.to,
            "call-id": self.call_id,
            "cseq": f"{self.cseq} {self.method}",
            "user-agent": self.agent,
        }
        if self.credential:
            name = "proxy-authorization" if self.method != "REGISTER" else "authorization"
            fields[name] = self.credential
        if self.contact:
            fields["contact"] = self.contact
        if self.expires:
            fields["expires"] = self.expires
        return SipMessage(self.method, self.uri, 0, fields)

    def answer(
        self, status: int, to_tag: str, *, nonce: str = "", stale: bool = False
    ) -> SipMessage:
        """Our server's response to it."""
        fields = {
            "via": f"SIP/2.0/UDP {self.via};rport=1;received=x;branch={self.branch}",
            "from": f"{self.sender};tag={self.tag}",
            "to": f"{self.to};tag={self.to_tag or to_tag}" if status > 100 else self.to,
            "call-id": self.call_id,
            "cseq": f"{self.cseq} {self.method}",
        }
        if nonce:
            name = "www-authenticate" if status == 401 else "proxy-authenticate"
            flag = ", stale=true" if stale else ""
            fields[name] = (
                f'Digest realm="{DOMAIN}", nonce="{nonce}", qop="auth", algorithm=MD5{flag}'
            )
        return SipMessage("", "", status, fields)


def credential(
    user: str, nonce: str, uri: str, count: int, response: str, client: str = "c1"
) -> str:
    """An Authorization value. ``response`` stands for the digest, ``client`` is the cnonce."""
    return (
        f'Digest username="{user}", realm="{DOMAIN}", nonce="{nonce}", uri="{uri}",'
        f' response="{response}", algorithm=MD5, qop=auth, cnonce="{client}", nc={count:08x}'
    )


def address(user: str, host: str = DOMAIN, name: str = "") -> str:
    """A From or To value."""
    shown = f'"{name}" ' if name else ""
    return f"{shown}<sip:{user}@{host}>" if user else f"{shown}<sip:{host}>"
