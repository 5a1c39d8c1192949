"""What several tests need: the provenance of records that are made by hand, and files that are damaged."""

from hypothesis import strategies as st

MADE = {
    "profile": "paper",
    "date": "2026-01-02T03:04:05+00:00",
    "commit": "0123456789ab",
    "cpu_seconds": 50.0,
    "peak_memory_mb": 900,
}


def with_damage(data: st.DataObject, content: bytes) -> bytes:
    """`content` with one bit flipped, or cut off, at a byte that hypothesis draws."""
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        return content[:place] + bytes([content[place] ^ 1 << data.draw(st.integers(0, 7))]) + content[place + 1 :]
    return content[:place]
