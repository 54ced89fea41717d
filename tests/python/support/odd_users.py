"""Users with odd values, odd keys, and fields that are missing or come twice, as JSON texts."""

import json
from pathlib import Path as FilePath

from support.commands import Run, passes
from support.factories import user

Path = tuple[str, ...]  # of a field within a user
Change = tuple[Path, str, str]

# JSON texts of odd values, for any field of a user and instead of a user.
ODD_VALUES = [
    *("null", "true", "0", "-1.5", '""', '" "', "[]", "{}", "[[1], {}]", '{"a": {"b": 1}}'),
    *('"text"', '"\\u0000"', '"a\\u0000b"', '"\\ud83d\\ude00"'),
    *("1e400", "-1e400", str(10**40), "1e-400", "12345678901234567890", "1.50", "-0", "1E2"),
    *('"2023-02-30T00:00:00Z"', '"0000-01-01T00:00:00Z"', '"infinity"', '"-infinity"', '"nan"'),
    *('"epoch"', '"now"', '"29999-01-01T00:00:00Z"', '"2023-02-28T24:00:00Z"', '"2023-02-28"'),
    *('"9999-12-31T23:59:59.999Z"', '"2023-02-28T10:00Z"', '"0044-03-15 (BC)"', '"1e400"'),
    *('"2023-02-28T23:59:60Z"', '"2023-02-28T10:00:00+05:45"', '"0x10"', '"1_000"'),
    json.dumps("x" * 100_000),
    json.dumps('"quoted", {"login": 1}: \\ \n'),
    "[" * 400 + "]" * 400,
    "[" * 900 + "]" * 900,
    '{"a":' * 600 + "1" + "}" * 600,
]
ODD_KEYS = ["a.b", 'say "hi"', "it's", "📮", "", "$", "\\", "a\nb", "login", "new", "x" * 1000]


def list_paths(value: object, path: Path = ()) -> list[Path]:
    """Return the paths of all fields within a user."""
    fields = value.items() if isinstance(value, dict) else ()
    return [
        inner
        for key, content in fields
        for inner in ((*path, key), *list_paths(content, (*path, key)))
    ]


PATHS = list_paths(user(0))


def make_user(number: int, changes: list[Change]) -> str:
    """Return the JSON text of a user with changes: path, kind and an odd value.

    The kinds: `replaced`, `removed`, `twice` (the field comes twice) and `beside KEY` (another
    field comes before it).
    """

    def text(value: object, path: Path) -> str:
        if not isinstance(value, dict):
            return json.dumps(value, ensure_ascii=False)
        parts = []
        for key, content in value.items():
            field = text(content, (*path, key))
            for changed_path, kind, odd in changes:
                if changed_path == (*path, key):
                    field = {"replaced": odd, "removed": ""}.get(kind, field)
                    if kind == "twice":
                        parts.append(f"{json.dumps(key)}: {odd}")
                    if kind.startswith("beside "):
                        parts.append(f"{json.dumps(kind[7:])}: {odd}")
            if field:
                parts.append(f"{json.dumps(key)}: {field}")
        return "{" + ", ".join(parts) + "}"

    return text(user(number), ())


def land_texts(run: Run, file: FilePath, load_id: str, users: list[str]) -> None:
    """Land the JSON texts of users as a load."""
    info = {"seed": "s", "results": len(users), "page": 1, "version": "1.4"}
    file.write_text(f'{{"results": [{", ".join(users)}], "info": {json.dumps(info)}}}')
    passes(run("ingest", "--load-id", load_id, "--from-file", file))
