"""Rules about the code itself that a search can hold. Most others are held by ruff, mypy and import-linter."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SKIPPED = {
    ".git", ".venv", "instance", "build", "node_modules", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache",
    ".hypothesis", ".import_linter_cache",
}  # fmt: skip
MOST_LINES = 320
CODE = ("provider", "database", "app", "verifier/mcp_core_cloud", "verifier/mcp_core_verifier")
PYTHON = sorted(path for folder in CODE for path in (ROOT / folder).rglob("*.py"))
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def tree() -> Iterator[Path]:
    """Every text file that belongs to the project."""
    pending = [ROOT]
    while pending:
        for path in sorted(pending.pop().iterdir()):
            if path.name in SKIPPED or path.name.endswith(".egg-info") or path.name.startswith((".coverage", ".env")):
                continue
            if path.is_dir():
                pending.append(path)
            elif path.suffix not in (".ico", ".mo", ".png", ".pyc"):
                yield path


def found(pattern: str, paths: list[Path], *, flags: int = 0) -> list[str]:
    return [
        f"{name(path)}:{number} {line.strip()}"
        for path in paths
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if re.search(pattern, line, flags)
    ]


@pytest.mark.parametrize("path", PYTHON, ids=name)
def test_a_file_is_one_thing(path: Path) -> None:
    """``services.py`` is one list, which is as long as there are services."""
    assert len(path.read_text("utf-8").splitlines()) <= MOST_LINES * (1.5 if path.name == "services.py" else 1)


@pytest.mark.parametrize("path", [path for path in PYTHON if path.name != "py.typed"], ids=name)
def test_every_module_says_what_it_is_for(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text("utf-8")))
    assert docstring, "no docstring"
    assert docstring[0] == docstring[0].upper() or docstring.startswith("``")


@pytest.mark.parametrize("path", [path for path in PYTHON if path.name == "__init__.py"], ids=name)
def test_a_package_has_a_caption_and_little_else(path: Path) -> None:
    module = ast.parse(path.read_text("utf-8"))
    assert ast.get_docstring(module)
    assert all(isinstance(node, ast.Expr | ast.Import | ast.ImportFrom | ast.Assign) for node in module.body)


def _asking_with_a_lock(source: str) -> list[int]:
    """The lines where a lock is taken for a block in which a transaction is called, or given to somebody who may do so."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.With) and any("lock" in ast.unparse(item.context_expr).lower() for item in node.items)
        for below in ast.walk(ast.Module(node.body, []))
        if isinstance(below, ast.Call) and re.search(r"\btx\b", ast.unparse(below))
        if not ast.unparse(below.func).endswith(".add")
    ]


@pytest.mark.parametrize("path", [path for path in PYTHON if "provider" in path.parts], ids=name)
def test_nobody_asks_the_database_with_a_lock(path: Path) -> None:
    """Works that take turns in a thread share it: who waits with a lock for an answer stops who wants it (decision 40)."""
    assert _asking_with_a_lock(path.read_text("utf-8")) == []


def test_who_asks_with_a_lock_is_found() -> None:
    assert _asking_with_a_lock("with self._lock:\n    if known:\n        rows = tx.rows(FIND, {})") == [1]
    assert _asking_with_a_lock("with lock:\n    self._load(tx)") == [1]
    assert _asking_with_a_lock("rows = tx.rows(FIND, {})\nwith self._lock:\n    self._rows = rows") == []


def test_every_folder_of_code_is_a_package_with_a_caption() -> None:
    """But ``app``, which is a namespace on purpose: other services have an ``app`` of their own."""
    folders = {path.parent for path in PYTHON} - {ROOT / "app"}
    assert [name(folder) for folder in folders if not (folder / "__init__.py").exists()] == []
    assert not (ROOT / "app/__init__.py").exists()


def test_nothing_names_a_package_registry() -> None:
    names = {"py pi": ("org", "python.org"), "python hosted": ("org",), "npm js": ("org", "com")}
    hosts = [f"{name.replace(' ', '')}.{end}" for name, ends in names.items() for end in ends]
    pattern = "|".join(map(re.escape, hosts))
    assert found(pattern, list(tree())) == []


def test_nothing_names_a_place_on_one_machine() -> None:
    places = ["/" + place for place in ("work/", "root/", "home/", "Users/")]
    pattern = r"(?<![\w.~/:}>-])(?:" + "|".join(places) + ")"
    assert found(pattern, list(tree())) == []


@pytest.mark.parametrize("lock", ["requirements.txt", "requirements-dev.txt"])
def test_lock_files_have_hashes_and_no_address(lock: str) -> None:
    text = (ROOT / lock).read_text("utf-8")
    assert not re.search(r"^\s*(-i|-f|--index-url|--extra-index-url|--find-links|--trusted-host)\b", text, re.MULTILINE)
    assert "://" not in text
    entries = re.findall(r"^([\w.,\[\]-]+)==(\S+)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)", text, re.MULTILINE)
    lines = [line for line in text.splitlines() if re.match(r"[A-Za-z0-9]", line)]
    assert len(entries) == len(lines) > 20
    assert "-e ." not in text


def test_every_dependency_is_locked_and_what_runs_is_the_same_for_tests() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

    def pinned(lock: str) -> dict[str, str]:
        text = (ROOT / lock).read_text("utf-8")
        pairs = re.findall(r"^([\w.-]+)(?:\[[\w,-]+\])?==([^\s;]+)", text, re.MULTILINE)
        return {found_name.lower().replace("_", "-"): version for found_name, version in pairs}

    runs, tests = pinned("requirements.txt"), pinned("requirements-dev.txt")
    for need in project["dependencies"]:
        assert re.split(r"[>=<\[]", need)[0].lower() in runs, need
    for need in project["optional-dependencies"]["dev"]:
        assert re.split(r"[>=<\[]", need)[0].lower() in tests, need
    assert {key: tests.get(key) for key in runs} == runs


LIBRARIES_AT_LEAST = {
    "authlib": (1, 9, 9), "joserfc": (1, 8, 0), "flask": (3, 1, 3), "werkzeug": (3, 1, 9), "cryptography": (50, 0, 2),
}  # fmt: skip


@pytest.mark.parametrize("library", LIBRARIES_AT_LEAST)
def test_libraries_with_known_faults_are_not_older_than_their_repair(library: str) -> None:
    """A-119: and python-jose, whose faults have no repair, is not here at all."""
    text = (ROOT / "requirements.txt").read_text("utf-8")
    match = re.search(rf"^{library}(?:\[\w+\])?==([\d.]+)", text, re.MULTILINE)
    assert match
    assert tuple(map(int, match[1].split("."))) >= LIBRARIES_AT_LEAST[library]
    assert "python-jose" not in text


def test_no_command_is_printed_but_as_it_was_started() -> None:
    """``mcp-core …`` runs nowhere by itself: ``provider.program_name`` says how. Docstrings are put right on the way."""
    pattern = re.compile(r"(?<![\w./-])mcp-core [a-z]|python (?:database/|-m )")
    for path in (path for path in PYTHON if "verifier" not in path.parts):
        module = ast.parse(path.read_text("utf-8"))
        documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        captions = [
            node.body[0] for node in ast.walk(module) if isinstance(node, documented) and ast.get_docstring(node)
        ]
        told = {caption.value for caption in captions if isinstance(caption, ast.Expr)}
        for node in ast.walk(module):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in told:
                assert not pattern.search(node.value), f"{name(path)}:{node.lineno}"
    assert found(pattern.pattern, TEMPLATES) == []


def test_redirects_are_303_and_nothing_else() -> None:
    """A-07: a browser must never repeat the body of a form elsewhere."""
    code = [path for path in PYTHON if "provider" in path.parts]
    assert found(r"\b(301|302|307|308)\b", code) == []
    (only,) = found(r"(flask|werkzeug\.utils) import .*\bredirect\b", code)
    assert only.startswith("provider/web/rendering.py:")
    calls = found(r"(?<![\w.])redirect\(", [ROOT / "provider/web/rendering.py"])
    assert calls
    assert [call for call in calls if ", 303)" not in call] == []


def test_no_rule_asks_the_clock() -> None:
    """``now`` is handed down from the edge, the terminal or the start of the server."""
    asked = found(r"\b(datetime\.now|time\.time|utcnow|date\.today)\(", PYTHON)
    allowed = (
        "provider/cli/",
        "provider/application.py",
        "provider/doors/doorway.py",
        "provider/start/serve.py",
        "database/",
        "verifier/",
    )
    assert [place for place in asked if not place.startswith(allowed)] == []


def test_no_rule_about_text_is_left_to_classes_of_python() -> None:
    """They refuse vowel signs and joiners, and change with the version; of ASCII alone they are what they seem."""
    asked = found(r"\.is(printable|alnum|alpha|digit|decimal|numeric|identifier)\(", PYTHON)
    assert [place for place in asked if "isascii()" not in place] == []


def test_statements_are_never_put_together_from_text() -> None:
    """A-118: names of our own tables may be, and say so."""
    built = found(r"(?:\btext|exec_driver_sql|execute)\(\s*f[\"']", PYTHON)
    assert [place for place in built if not place.startswith("database/")] == []


def test_secrets_are_compared_in_constant_time() -> None:
    compared = found(r"(secret_hash|password_hash|code_hash|token_hash|csrf\w*)\s*(==|!=)", PYTHON)
    statements = [place for place in compared if "_TABLE.c." not in place and ".c." not in place]
    assert [place for place in statements if "known.retires_at" not in place] == []


# Our one script, logout addresses of applications, which can do nothing to the page around them, and the line that posts an
# answer.
EXCEPTIONS = (
    "layout.html:13 <script src=\"{{ static_url('site.js') }}\" defer",
    "layout.html:18 <script src=\"{{ static_url('passkeys.js') }}\" defer></script>",
    'sign_out/done.html:9 <iframe src="{{ frame }}" sandbox="allow-scripts allow-same-origin" hidden></iframe>',
    "form_post/answer.html:12 <script>{{ submit_script }}</script>",
)


def test_pages_have_no_script_no_inline_style_and_nothing_from_elsewhere() -> None:
    foreign = r"<script|javascript:|\son\w+\s*=|<iframe|<object|<embed"
    places = found(foreign, TEMPLATES, flags=re.IGNORECASE)
    places += found(
        r"\sstyle\s*=", [path for path in TEMPLATES if path.parent.name != "mail"]
    )  # of letters it is the only one
    assert [place for place in places if not place.endswith(EXCEPTIONS)] == []
    assert found(r"(src|href)\s*=\s*[\"'](https?:)?//", TEMPLATES, flags=re.IGNORECASE) == []
    assert found(r"@import|url\(\s*[\"']?(https?:)?//", [ROOT / "provider/static/site.css"]) == []


def test_names_of_people_stand_in_a_direction_of_their_own() -> None:
    shown = found(r"\b(user\.(username|email|display_name)|asked\.resource_name)\b(?! %})", TEMPLATES)
    assert shown
    assert [line for line in shown if not re.search(r"isolated\(|<bdi |value=", line)] == []


def test_pages_escape_everything() -> None:
    assert found(r"\|\s*safe\b|autoescape", TEMPLATES) == []


ANSWERS = {
    "templates/form_post/answer.html": "{{ action }}",
    "templates/errors/authorization.html": "{{ back_action }}",
}


@pytest.mark.parametrize("path", TEMPLATES, ids=name)
def test_every_form_that_changes_something_has_its_token(path: Path) -> None:
    """What ``token()`` puts there is in ``templates/forms.html``. A form by GET only leads on, and has no fields.

    What goes to an application (``form_post``) must not have it: it is ours alone.
    """
    for form in re.findall(r"<form\b.*?</form>", path.read_text("utf-8"), re.DOTALL):
        method = re.search(r'<form[^>]* method="(post|get)"', form)
        assert method, form[:200]
        if name(path) in ANSWERS:
            assert f'action="{ANSWERS[name(path)]}"' in form
            assert "token()" not in form
        elif method[1] == "post":
            assert "{{ token() }}" in form, form[:200]
        elif name(path) == "templates/listing.html":  # what is looked for in a list, said in its address
            assert re.findall(r' name="(\w+)"', form) == ["q"]
        else:
            assert " name=" not in form, form[:200]


def test_every_listener_is_told_where_to_listen() -> None:
    """No example, test or document of ours opens a port to other machines without a proxy in front."""
    examples = sorted((ROOT / "examples").rglob("*.py"))
    assert found(r"0\.0\.0\.0", examples) == []


def test_shell_scripts_stop_at_the_first_failure() -> None:
    scripts = [path for path in tree() if path.read_bytes()[:9] == b"#!/bin/sh"]
    assert len(scripts) >= 5
    for script in scripts:
        assert re.search(r"^set -eu$", script.read_text("utf-8"), re.MULTILINE), name(script)
