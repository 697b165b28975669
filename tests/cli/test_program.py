"""The program as a whole: its commands, its help, its exit codes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import deepcopy
from importlib.metadata import version

import click
import pytest

from provider.cli import users
from provider.cli.program import COMMANDS, program
from tests.cli.conftest import Terminal

CONTRACT = """
serve --host --port --workers --threads
setup-link --json
user create --username --email --admin --verified --password-stdin --invite --json
user list --json
user show USER --json
user disable USER
user enable USER
user unlock USER --json
user verify USER --json
user reset-password USER --print-link --json
user reset-second-factor USER
group create NAME --description --json
group list --json
group show GROUP --json
group delete GROUP --json
group rename GROUP NAME --json
group add GROUP USER... --json
group remove GROUP USER... --json
user lock-down USER --yes --json
user close USER --yes --json
user reopen USER --json
user erase USER --yes --json
invite ADDRESS --admin --username --expires-in-days --language --json
invitation list --search --page --json
invitation withdraw ADDRESS --json
client create --for --name --public --native --redirect-uri --post-logout-redirect-uri --grant --scope --auth-method
  --resource --jwks-uri --metadata --pkce --no-pkce --claims-in-id-token --only-group --trusted --json
client update CLIENT_ID --name --public --native --web --redirect-uri --add-redirect-uri --remove-redirect-uri
  --post-logout-redirect-uri --grant --scope --auth-method --resource --jwks-uri --metadata --pkce --no-pkce
  --claims-in-id-token --only-group --trusted --json
client list --json
client show CLIENT_ID --json
client disable CLIENT_ID
client enable CLIENT_ID
client delete CLIENT_ID
client rotate-secret CLIENT_ID --json
api-key create --user --name --scope --everything --resource --expires-in-days --json
api-key list --user --json
api-key rotate KEY_ID --overlap-hours --json
api-key revoke KEY_ID
cloud list USER --json
cloud remove USER LABEL
resource add URI --name --scope --admin-scope --scope-group --groups-claim --describe --describe-ko --token-alg --token-typ
  --access-token-seconds --json
resource list --json
resource update URI --name --add-scope --remove-scope --admin-scope --scope-group --groups-claim --describe
  --describe-ko --token-alg --token-typ --access-token-seconds --json
resource set URI --introspection-client --json
resource remove URI
keys list --json
keys rotate --now --revoke --json
vault status --json
vault rotate --keep-old --json
vault seal
registration-token create --name --expires-in-days --uses --no-pkce --claims-in-id-token --json
registration-token list --json
registration-token revoke TOKEN_ID
protect URL --scope --name --describe --describe-ko --token-alg --token-typ --json
mail test ADDRESS --json
mail list --failed --json
mail retry LETTER_ID --all-failed
cleanup --json
doctor --json
"""


def leaves(group: click.Group = program, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from leaves(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


LEAVES = dict(leaves())


def test_commands_arguments_and_options_are_those_of_the_contract() -> None:
    there = set()
    for path, command in LEAVES.items():
        words = [
            parameter.opts[0]
            if isinstance(parameter, click.Option)
            else str(parameter.metavar or parameter.name).upper()
            for parameter in command.params
        ]
        there.add(" ".join([path, *sorted(words)]))
    wanted = set()
    for line in re.sub(r"\n +", " ", CONTRACT.strip()).splitlines():
        path = next(name for name in sorted(LEAVES, key=len, reverse=True) if line.startswith(name))
        wanted.add(" ".join([path, *sorted(line.removeprefix(path).split())]))
    assert there == wanted


@pytest.mark.parametrize("path", LEAVES)
def test_every_command_says_what_it_does_and_gives_an_example(bare_terminal: Terminal, path: str) -> None:
    shown = bare_terminal.ok(*path.split(), "--help")
    assert re.search(rf"^  \S.*:\s.*\bmcp-core {path}\b", shown, re.MULTILINE) or (
        path == "serve" and "mcp-core serve" in shown
    ), shown
    for parameter in LEAVES[path].params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{path} {parameter.name} has no help"
    assert list(bare_terminal.folder.iterdir()) == [], "asking for help changes nothing"


@pytest.mark.parametrize("path", [(), *((name,) for name in COMMANDS)])
def test_help_lists_commands_with_their_purpose(bare_terminal: Terminal, path: tuple[str, ...]) -> None:
    shown = bare_terminal.ok(*path, "-h")
    assert shown == bare_terminal.ok(*path, "--help")
    assert max(map(len, shown.splitlines())) <= 100
    if not path:
        for name, (_module, purpose) in COMMANDS.items():
            assert re.search(rf"^  {name} +{re.escape(purpose)}$", shown, re.MULTILINE)


def test_every_option_that_an_example_uses_exists(bare_terminal: Terminal) -> None:
    """An example that no command understands is worse than none."""
    for path in LEAVES:
        shown = bare_terminal.ok(*path.split(), "--help").replace("\\\n", " ")
        for example in re.findall(r"\bmcp-core ((?:[a-z-]+ )+.*)$", shown.split("Options:")[0], re.MULTILINE):
            name = next((name for name in sorted(LEAVES, key=len, reverse=True) if example.startswith(name)), None)
            if name is None:
                continue
            known = {option for parameter in LEAVES[name].params for option in parameter.opts}
            assert set(re.findall(r"(?<= )--[a-z-]+", example.partition("|")[0])) <= known, example


def test_the_version_is_that_of_the_package(bare_terminal: Terminal) -> None:
    assert bare_terminal.ok("--version") == f"mcp-core {version('mcp-core')}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["no-such-command"], ["user", "no-such-command"], ["--no-such-option"], ["user", "list", "surplus"],
        ["user", "show"], ["client", "show"], ["client", "delete"], ["api-key", "revoke"], ["resource", "remove"],
        ["user", "create", "--username", "ana", "--password-stdin"],
        ["user", "create", "--username", "ana", "--email", "ana@example.org"],
        ["user", "create", "--username", "ana", "--email", "ana@example.org", "--password", "secret"],
        ["client", "create"],
        ["client", "create", "--name", "A", "--grant", "password"],
        ["client", "create", "--name", "A", "--auth-method", "client_secret_jwt"],
        ["client", "create", "--name", "A", "--metadata", "/does/not/exist.json"],
        ["registration-token", "create"],
        ["registration-token", "create", "--name", "A", "--uses", "0"],
        ["registration-token", "create", "--name", "A", "--expires-in-days", "367"],
        ["protect"], ["protect", "https://api.example/", "--token-alg", "HS256"],
        ["client", "create", "--name", "A", "--public", "--auth-method", "client_secret_basic"],
        ["api-key", "create", "--name", "A"],
        ["api-key", "create", "--user", "ana", "--name", "A", "--expires-in-days", "0"],
        ["api-key", "create", "--user", "ana", "--name", "A", "--expires-in-days", "367"],
        ["resource", "add", "https://api.example/", "--name", "A"],
        ["resource", "add", "https://api.example/", "--name", "A", "--scope", "a", "--token-alg", "HS256"],
        ["resource", "add", "https://api.example/", "--name", "A", "--scope", "a", "--access-token-seconds", "901"],
        ["serve", "--port", "0"], ["serve", "--port", "65536"], ["serve", "--workers", "0"], ["serve", "--threads", "0"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_wrong_usage_is_exit_code_two_and_changes_nothing(bare_terminal: Terminal, arguments: list[str]) -> None:
    assert "Error: " in bare_terminal.misused(*arguments, given="violet kettle 71 harbour paints\n")
    assert list(bare_terminal.folder.iterdir()) == []


@pytest.mark.parametrize("path", [("user",), ("client",), ("api-key",), ("resource",), ("keys",), ()])
def test_a_group_alone_shows_its_help_as_wrong_usage(bare_terminal: Terminal, path: tuple[str, ...]) -> None:
    result = bare_terminal.run(*path)
    assert result.exit_code == 2
    assert "Usage: mcp-core" in result.output


@pytest.mark.parametrize(
    "arguments, meant",
    [
        (["cleint"], "client"), (["clients"], "client"), (["Doctor"], "doctor"), (["setuplink"], "setup-link"),
        (["apikey", "list"], "api-key"), (["user", "lst"], "list"), (["client", "crate"], "create"),
        (["api-key", "revok"], "revoke"), (["resource", "ad"], "add"), (["keys", "rotat"], "rotate"),
        (["registration-token", "creat"], "create"), (["nothing-like-it"], None), (["user", "xyz"], None),
    ],
)  # fmt: skip
def test_a_command_that_is_nearly_right_is_told(
    bare_terminal: Terminal, arguments: list[str], meant: str | None
) -> None:
    wrong = arguments[1] if len(arguments) > 1 and meant not in COMMANDS else arguments[0]
    ending = f" Did you mean {meant}?" if meant else ""
    assert bare_terminal.misused(*arguments).endswith(f"Error: There is no command '{wrong}'.{ending}\n")


@pytest.mark.parametrize("path", [path for path in LEAVES if path != "cleanup"])
def test_an_option_that_is_nearly_right_is_told(bare_terminal: Terminal, path: str) -> None:
    for parameter in LEAVES[path].params:
        option = parameter.opts[0]
        if option.startswith("--") and len(option) > 5:
            assert f"'{option}'" in bare_terminal.misused(*path.split(), option[:-1] + "_"), option


def test_examples_of_the_help_begin_as_the_program_was_started(
    bare_terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    program_file = bare_terminal.folder / "bin/mcp-core"
    program_file.parent.mkdir()
    program_file.touch()
    monkeypatch.setattr("sys.argv", ["bin/mcp-core"])
    monkeypatch.setattr("provider.cli.users.user", deepcopy(users.user))
    assert "Example:   bin/mcp-core user disable ana" in bare_terminal.ok("user", "disable", "--help")
