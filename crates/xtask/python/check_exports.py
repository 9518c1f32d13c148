"""Exports a poll of generated votes in every format, and reads the files back with DuckDB, pandas and openpyxl.

Arguments: the program, and how many votes. Totals and types must be what was voted, and the server's memory bounded.
"""

import collections
import csv
import datetime
import json
import pathlib
import subprocess
import sys
import tempfile
import urllib.request

import duckdb
import openpyxl
import pandas

program, votes = sys.argv[1], int(sys.argv[2])
# An XLSX is read by Python, at some thousands of rows a second.
WORKBOOK_VOTES_MAX = 50_000
EXPORT_MEMORY_KB_MAX = 200_000
OPTIONS = ["a", "b", "c"]
AGES = ["=1+1", "an_x & <b>", None]


def run(*arguments, environment):
    done = subprocess.run([program, *arguments], env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{arguments}: {done.stderr}")
    return done.stdout


def memory_kb(process, name):
    for line in pathlib.Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1])


def expect(what, found, wanted):
    if found != wanted:
        sys.exit(f"{what}: {found!r} instead of {wanted!r}")


def check_database(table, totals, ages):
    by_option = dict(duckdb.sql(f"select optionId, count(*) from {table} group by 1").fetchall())
    expect(f"{table} by option", by_option, totals)
    by_age = dict(duckdb.sql(f"""select "demographics.age", count(*) from {table} group by 1""").fetchall())
    expect(f"{table} by age", by_age, ages)


def check_parquet(path, totals, ages):
    check_database(f"'{path}'", totals, ages)
    types = dict(row[:2] for row in duckdb.sql(f"describe select * from '{path}'").fetchall())
    wanted = {"timestamp": "TIMESTAMP WITH TIME ZONE", "sequence": "BIGINT", "weight": "DECIMAL(18,6)", "voterId": "VARCHAR"}
    expect("types", {name: types[name] for name in wanted}, wanted)
    sums = duckdb.sql(f"select count(distinct voterId), count(distinct sequence), sum(weight) from '{path}'").fetchall()[0]
    expect("sums", tuple(map(int, sums)), (votes, votes, votes))
    frame = pandas.read_parquet(path)
    expect("pandas by option", frame["optionId"].value_counts().to_dict(), totals)
    expect("pandas' time", str(frame["timestamp"].dtype), "datetime64[us, UTC]")


def check_workbook(path, totals, ages):
    book = openpyxl.load_workbook(path, read_only=True)
    found, found_ages, header = collections.Counter(), collections.Counter(), None
    for sheet in book.worksheets:
        rows = sheet.iter_rows()
        header = [cell.value for cell in next(rows)]
        for row in rows:
            cells = dict(zip(header, row))
            expect("formulas", [cell for cell in row if cell.data_type == "f"], [])
            expect("type of a time", type(cells["timestamp"].value), datetime.datetime)
            expect("type of a weight", cells["weight"].value, 1)
            json.loads(cells["ballot"].value)
            found[cells["optionId"].value] += 1
            found_ages[cells["demographics.age"].value] += 1
    expect("openpyxl by option", dict(found), totals)
    expect("openpyxl by age", dict(found_ages), ages)


def check(folder, environment, server):
    totals, ages = collections.Counter(), collections.Counter()
    with open(folder / "votes.jsonl", "w") as lines:
        for number in range(votes):
            option, age = OPTIONS[number * 7 % 11 % 3], AGES[number % 3]
            totals[option] += 1
            ages[age] += 1
            vote = {"voterId": f"=voter-{number}", "ballot": {"choice": option}}
            lines.write(json.dumps(vote | ({"demographics": {"age": age}} if age else {})) + "\n")
    totals, ages = dict(totals), dict(ages)
    run("import", str(folder / "votes.jsonl"), "--poll", "p", environment=environment)
    before = memory_kb(server, "VmRSS")
    pathlib.Path(f"/proc/{server.pid}/clear_refs").write_text("5")
    for form in ["csv", "jsonl", "xlsx", "parquet"]:
        run("export", "p", "--format", form, "--output", str(folder / f"votes.{form}"), environment=environment)
    more = memory_kb(server, "VmHWM") - before
    print(f"exports: {votes} votes in four formats, at most {more / 1024:.0f} MiB more memory than before")
    expect("memory bounded", more < EXPORT_MEMORY_KB_MAX, True)
    check_parquet(folder / "votes.parquet", totals, ages)
    with open(folder / "votes.csv", newline="") as file:
        rows = collections.Counter(row["demographics.age"].removeprefix("'") or None for row in csv.DictReader(file))
    expect("CSV by age", dict(rows), ages)
    if votes <= WORKBOOK_VOTES_MAX:
        check_workbook(folder / "votes.xlsx", totals, ages)
    run("export", "p", "--format", "parquet", "--voters", "pseudonyms", "--output", str(folder / "p.parquet"), environment=environment)
    expect("pseudonyms", duckdb.sql(f"select count(distinct voterId), count(*) filter (voterId like '%voter%') from '{folder / 'p.parquet'}'").fetchall()[0], (votes, 0))


with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    serve = [program, "serve", "--data", str(folder / "data"), "--listen", "127.0.0.1:0", "--log", "warn"]
    with subprocess.Popen(serve, env={"CANVASS_ADMIN_KEY": "export-check"}, stdout=subprocess.PIPE, text=True) as server:
        try:
            url = server.stdout.readline().split()[-1]
            environment = {"CANVASS_SERVER": url, "CANVASS_KEY": "export-check"}
            options = [{"id": option} for option in OPTIONS]
            poll = {"id": "p", "title": "?", "status": "open", "options": options, "demographics": {"age": None}}
            request = urllib.request.Request(f"{url}/v1/polls", json.dumps(poll).encode(), {"x-api-key": "export-check", "content-type": "application/json"})
            urllib.request.urlopen(request).read()
            check(folder, environment, server)
        finally:
            server.terminate()
print("exports: every file reads back right")
