"""Once: moves every record to where its spec without `experiment` and `profile` names it; run with `python migrate.py`.

What the spec said of its profile now stands with the record's provenance. Nothing else of a record changes.
"""

import json
from pathlib import Path

from aeda_core import runs
from aeda_core.errors import Problem


def migrate(folder: Path) -> int:
    """Moves the records under `folder` (data/runs/paper) and returns how many there are.

    Raises Problem, before anything is written, if two of them would be one.
    """
    old = sorted(folder.rglob("*.json"))
    new: dict[Path, str] = {}
    for path in old:
        record = json.loads(path.read_text())
        profile = record["spec"].pop("profile")
        record["spec"].pop("experiment")
        record["provenance"] = {"profile": profile, **record["provenance"]}
        moved = runs.RunRecord.model_validate(record)
        target = folder.parent / moved.spec.path("paper").relative_to(runs.RUNS)
        if target in new:
            raise Problem(f"'{path}' and another record have the same spec.")
        new[target] = moved.model_dump_json(indent=None, exclude_none=True) + "\n"
    for path in old:
        path.unlink()
    for path, text in new.items():
        runs.write_atomically(path, text)
    for left in sorted(folder.rglob("*"), reverse=True):
        if left.is_dir() and not any(left.iterdir()):
            left.rmdir()
    return len(new)


if __name__ == "__main__":
    print(migrate(runs.RUNS / "paper"), "records moved")
