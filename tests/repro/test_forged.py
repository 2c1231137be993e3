"""A home that anybody may have written: nobody trips over what is in it, or waits for it."""

import json
import os
from pathlib import Path

import pytest

from repro import files
from repro.explain import StoredParts
from repro.housekeeping import check
from repro.inventory import Home
from repro.outcome.reading import all_runs
from repro.settings import Settings
from tests.repro.conftest import Cli

FORGED: dict[str, str | None] = {
    "list": "[]",
    "null": "null",
    "fields of other types": '{"schema_version": [], "parts": null, "digests": []}',
    "infinite": '{"schema_version": 2, "parts": {"seed": 1e999}}',
    "deep": '{"parts":' + "[" * 10_000 + "]" * 10_000 + "}",
    "pipe": None,
}


def put(path: Path, text: str | None) -> None:
    path.unlink()
    if text is None:
        os.mkfifo(path)
    else:
        path.write_text(text)


def test_forged_files_are_damaged_ones(repro: Cli) -> None:
    assert repro.call("fig8b", "--profile", "smoke").status == 0
    settings = Settings.from_environment()
    home = Home(settings.home)
    (key,) = home.results()
    for pattern in ("runs/*/*/*/record.json", "store/[0-9a-f]*/meta.json"):
        (path,) = home.root.glob(pattern)
        good = path.read_text()
        for text in FORGED.values():
            put(path, text)
            assert check(home, lambda done, total: None).damaged
            if path.name == "record.json":
                assert all_runs(settings) == []
            else:
                assert list(home.store.metas()) == []
                assert home.store.problem(key)
        put(path, good)
    assert len(all_runs(settings)) == 1


@pytest.mark.parametrize("forged", [[], {}, {"stage": 1}, {"stage": "a", "inputs": {"b": ["c"]}}])
def test_a_result_of_other_fields_is_none_although_its_digests_are_right(
    repro: Cli, forged: object
) -> None:
    repro.call("fig8b", "--profile", "smoke")
    home = Home(repro.home)
    (old,) = home.results()
    meta = files.read_json(home.store.folder(old) / "meta.json")
    key = files.canonical_digest(forged)  # type: ignore[arg-type]
    meta |= {"parts": forged, "key": key}
    del meta["digest"]
    meta["digest"] = files.canonical_digest(meta)
    home.store.folder(old).rename(home.store.folder(key))
    (home.store.folder(key) / "meta.json").write_text(json.dumps(meta))
    assert "parts" in str(home.store.problem(key))
    assert StoredParts(home.store.metas(), ()).computed_anew(()) == []
    assert home.store.read(key) is None


def test_a_runs_files_do_not_lie_elsewhere(repro: Cli, tmp_path: Path) -> None:
    repro.call("fig8b", "--profile", "smoke")
    (picture,) = repro.home.glob("runs/*/*/*/*.svg")
    (tmp_path / "secret").write_text("secret")
    picture.unlink()
    picture.symlink_to(tmp_path / "secret")
    assert all_runs(Settings.from_environment()) == []
    assert repro.call("store", "check").status == 1
