"""What the provenance of records has to say that are made by hand."""

MADE = {
    "profile": "paper",
    "date": "2026-01-02T03:04:05+00:00",
    "commit": "0123456789ab",
    "cpu_seconds": 50.0,
    "peak_memory_mb": 900,
}
