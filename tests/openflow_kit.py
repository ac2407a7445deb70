"""What the tests of the OpenFlow driver share."""

from __future__ import annotations

from hypothesis import strategies as st

from sdnblock.block import TCP, UDP, Flow, Prefix, Source, Target


def _prefix(address: bytes, length: int) -> Prefix | None:
    bits = len(address) * 8
    mask = ((1 << length) - 1) << (bits - length)
    cut = (int.from_bytes(address, "big") & mask).to_bytes(len(address), "big")
    return Prefix(cut, length) if any(cut) else None


def _nonzero(size: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=size, max_size=size).filter(any)


_ports = st.integers(1, 65535)
sources: st.SearchStrategy[Source] = st.one_of(_nonzero(4), _nonzero(16)).map(Source)
prefixes: st.SearchStrategy[Prefix] = st.one_of(
    st.builds(_prefix, _nonzero(4), st.integers(1, 31)),
    st.builds(_prefix, _nonzero(16), st.integers(1, 127)),
).filter(lambda found: found is not None)  # type: ignore[assignment]
flows: st.SearchStrategy[Flow] = st.one_of(
    *(
        st.builds(Flow, st.sampled_from([UDP, TCP]), _nonzero(size), _ports, _nonzero(size), _ports)
        for size in (4, 16)
    )
)
targets: st.SearchStrategy[Target] = st.one_of(sources, prefixes, flows)
