"""What of the benchmark is pure: figures, tables, the chart, the words of its command line. Nothing is measured here."""

from __future__ import annotations

import csv
import io
import xml.etree.ElementTree as ElementTree

import pytest

from bench import workloads
from bench.catalogue import SERVERS, UnknownName, choose
from bench.chart import chart
from bench.figures import Run, Start, median_run, quantile, ratio_text
from bench.load import BrokenRun, parsed
from bench.rounds import Results
from bench.run import arguments
from bench.servers.measured import Client
from bench.servers.ours import Machines
from bench.surroundings import machine
from bench.table import comma_separated, described, growth, markdown

ES256, RS256 = (next(each for each in workloads.ALL if each.key == key) for key in ("es256", "rs256"))
SVG = "{http://www.w3.org/2000/svg}"


def results() -> Results:
    """Ours, a peer that cannot do RS256 and costs 30 times as much, and one that is not here."""
    runs = [Run("sqlite", "es256", rate, 5.0, 9.0, cpu) for rate, cpu in ((900, 400), (1100, 300), (1000, 350))]
    runs += [Run("sqlite", "rs256", 500, 9.0, 20.0, 700), Run("peer", "es256", 30, 300, 900, 10500)]
    return Results(
        runs=runs,
        names={"sqlite": "mcp-core, SQLite", "peer": "A & B <peer>"},
        stores={"sqlite": "rows", "peer": "nothing"},
        starts={"sqlite": Start(0.8, 90, 100), "peer": Start(30, 500, 600)},
        absent={"Third": "It could not be installed."},
        lacks={("peer", "rs256"): "It has one algorithm."},
    )


@pytest.mark.parametrize(
    "values,share,expected",
    [
        (range(1, 101), 0.5, 50),
        (range(1, 101), 0.99, 99),
        (range(1, 101), 1.0, 100),
        (range(1, 101), 0.0, 1),
        ([7.0], 0.5, 7.0),
        ([4, 1, 3, 2], 0.5, 2),
        ([4, 1, 3, 2], 0.51, 3),
        ([1, 2, 3], 0.99, 3),
    ],
)
def test_quantiles(values: list[float], share: float, expected: float) -> None:
    assert quantile(values, share) == expected


def test_no_values_have_no_quantile() -> None:
    with pytest.raises(ValueError, match="no values"):
        quantile([], 0.5)


def test_each_figure_is_the_median_of_its_own() -> None:
    run = median_run(results().runs, "sqlite", "es256")
    assert run == Run("sqlite", "es256", 1000, 5.0, 9.0, 350)
    assert median_run(results().runs, "sqlite", "jwks") is None


@pytest.mark.parametrize("ratio,text", [(0.424, "0.42"), (1.26, "1.3"), (9.94, "9.9"), (12.3, "12"), (0.999, "1.00")])
def test_a_ratio_has_two_digits_that_count(ratio: float, text: str) -> None:
    assert ratio_text(ratio) == text


def test_the_markdown_table_says_what_it_has_and_why_it_has_not_the_rest() -> None:
    text = markdown(results(), [ES256, RS256])
    assert "| client credentials, ES256 | 350 | 10,500 (30) |" in text
    assert "| client credentials, ES256 | 1,000, 5.0 / 9.0 | 30, 300.0 / 900.0 |" in text
    assert "| client credentials, RS256 | 700 | – |" in text
    assert "| mcp-core, SQLite | 0.8 | 90 / 100 | rows |" in text
    assert "- Third is left out: It could not be installed." in text
    assert "- A & B <peer>, client credentials, RS256: It has one algorithm." in text
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("| |")]
    assert all(len({line.count("|") for line in lines}) == 1 for lines in tables)


def test_growth_is_compared_with_the_fewest_rows_of_the_same_database() -> None:
    grown = Results(
        runs=[Run("a, 1000", "es256", 1, 1, 1, 400), Run("a, 1000000", "es256", 1, 1, 1, 500)],
        names={"a, 1000": "A, 1,000 rows", "a, 1000000": "A, 1,000,000 rows"},
    )
    lines = growth(grown, [ES256, RS256], {"a": ["a, 1000", "a, 1000000"]}).splitlines()
    assert lines[2:] == ["| A, 1,000 rows | 400 | – |", "| A, 1,000,000 rows | 500 (1.2) | – |"]


@pytest.mark.parametrize("copies", [0, 1, 1_000_000])
def test_the_machines_of_a_server_are_counted_and_not_made(copies: int) -> None:
    machines = Machines("first", "secret", copies)
    assert len(machines) == copies + 1
    assert machines[0] == Client("first", "secret")
    assert [client.id for client in machines[1:3]] == [f"app_bench{number}" for number in range(min(2, copies))]
    with pytest.raises(IndexError):
        machines[copies + 1]


def test_the_csv_table_has_a_line_for_each_cell_that_was_measured() -> None:
    rows = list(csv.DictReader(io.StringIO(comma_separated(results(), [ES256, RS256]))))
    assert [(row["server"], row["workload"], row["cpu_us"], row["cpu_ratio"]) for row in rows] == [
        ("mcp-core, SQLite", "client credentials, ES256", "350.0", "1.000"),
        ("mcp-core, SQLite", "client credentials, RS256", "700.0", "1.000"),
        ("A & B <peer>", "client credentials, ES256", "10500.0", "30.000"),
    ]
    assert {row["p99_ms"] for row in rows} == {"9.000", "20.000", "900.000"}


def test_the_chart_is_well_formed_and_stays_within_its_edges() -> None:
    root = ElementTree.fromstring(chart(results(), [ES256, RS256]))
    assert root.tag == f"{SVG}svg"
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    bars = [(panel, bar) for panel in root.iter(f"{SVG}g") for bar in panel.iter(f"{SVG}rect")]
    assert [bar.attrib["class"] for _, bar in bars] == ["ours", "others", "ours"]
    for panel, bar in bars:
        left, top = map(float, panel.attrib["transform"].removeprefix("translate(").rstrip(")").split(","))
        assert left + float(bar.attrib["x"]) + float(bar.attrib["width"]) < width
        assert top + float(bar.attrib["y"]) + float(bar.attrib["height"]) <= height
    lengths = [float(bar.attrib["width"]) for _, bar in bars]
    assert 0 < lengths[0] < lengths[1]
    assert len(list(root.iter(f"{SVG}path"))) == 1, "the one bar that is cut says so"
    assert "A & B <peer>" in "".join(root.itertext())


def test_nothing_measured_makes_empty_tables_and_a_chart_that_opens() -> None:
    assert ElementTree.fromstring(chart(Results(), [ES256])).tag == f"{SVG}svg"
    assert comma_separated(Results(), [ES256]).count("\n") == 1
    assert "client credentials" not in markdown(Results(), [ES256])


@pytest.mark.parametrize(
    "names,servers,keys,growth",
    [
        ([], list(SERVERS), [each.key for each in workloads.ALL], True),
        (["sqlite"], ["sqlite"], [each.key for each in workloads.ALL], False),
        (["jwks", "es256"], list(SERVERS), ["es256", "jwks"], False),
        (["mariadb", "refresh", "growth"], ["mariadb"], ["refresh"], True),
        (["growth"], [], [], True),
    ],
)
def test_only_takes_servers_and_workloads(names: list[str], servers: list[str], keys: list[str], growth: bool) -> None:
    chosen = choose(names)
    assert list(chosen.servers) == servers
    assert [each.key for each in chosen.workloads] == keys
    assert chosen.growth == growth


def test_a_name_that_is_not_known_is_answered_with_all_that_are() -> None:
    with pytest.raises(UnknownName) as raised:
        choose(["sqlite", "postgres"])
    assert all(name in str(raised.value) for name in (*SERVERS, *(each.key for each in workloads.ALL), "growth"))


@pytest.mark.parametrize(
    "given,words",
    [
        (["--only", "nobody"], "Not known: nobody."),
        (["--rounds", "0"], "--rounds goes from 1 to 100"),
        (["--seconds", "9999"], "--seconds from 1 to 600"),
        (["--sizes", "5"], "--sizes go from 100"),
        (["--rounds", "many"], "invalid int value"),
    ],
)
def test_what_cannot_be_measured_is_said_before_anything_starts(
    given: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        arguments(given)
    assert ended.value.code == 2
    assert words in " ".join(capsys.readouterr().err.split())


def test_names_on_the_command_line_add_up() -> None:
    asked, chosen = arguments(["--only", "sqlite", "--only", "jwks", "--seconds", "1"])
    assert (asked.seconds, list(chosen.servers), [each.key for each in chosen.workloads]) == (1, ["sqlite"], ["jwks"])


def test_no_name_is_a_server_and_a_workload() -> None:
    keys = [each.key for each in workloads.ALL]
    assert len({*keys, *SERVERS, "growth"}) == len(keys) + len(SERVERS) + 1


def test_the_last_line_of_wrk_is_read() -> None:
    line = "Running 1s\nRESULT right=10 wrong=1 took_us=2000 p50_us=3 p99_us=4 broken=5\nWRONG refused: 400\n"
    assert parsed(line) == (10, 1, 2000, 3, 4, 5)
    with pytest.raises(BrokenRun, match="no such file"):
        parsed("", "no such file")


def test_a_result_says_where_it_comes_from() -> None:
    found = machine()
    assert {"date", "machine", "system", "python", "mcp-core", "uvicorn", "cryptography"} <= found.keys()
    assert "python 3" in described(found)
