"""The migration moves records and changes nothing of what came out of them. Over a copy of the records as they were."""

import io
import json
import subprocess
import tarfile

from aeda_core.datasets.base import PROJECT
from migrate import migrate

BEFORE = "9067e81"  # the commit before the migration


def test_outcomes_and_provenance_are_what_they_were(tmp_path):
    archive = subprocess.run(
        ["git", "-C", PROJECT, "archive", BEFORE, "data/runs/paper"], capture_output=True, check=True
    )
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as records:
        records.extractall(tmp_path, filter="data")
    folder = tmp_path / "data" / "runs" / "paper"
    before = [json.loads(path.read_text()) for path in folder.rglob("*.json")]
    for record in before:
        record["provenance"]["profile"] = record["spec"].pop("profile")
        record["spec"].pop("experiment")
    assert migrate(folder) == len(before) > 300
    after = [json.loads(path.read_text()) for path in folder.rglob("*.json")]
    in_order = [sorted(json.dumps(r, sort_keys=True) for r in records) for records in (before, after)]
    assert in_order[0] == in_order[1]
