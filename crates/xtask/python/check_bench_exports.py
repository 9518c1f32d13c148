"""Reads what `cargo xtask bench exports` wrote with DuckDB, pandas and openpyxl: totals and types must be what was voted.

Arguments: the folder, how many votes the CSV and the Parquet file have, and how many the workbook.
"""

import pathlib
import sys

import duckdb
import openpyxl
import pandas

folder, votes, workbook_votes = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])


def expect(what, found, wanted):
    if found != wanted:
        sys.exit(f"{what}: {found!r} instead of {wanted!r}")


for name in ["votes.csv", "votes.parquet"]:
    table = f"'{folder / name}'"
    by_option = duckdb.sql(f"select optionId, count(*) from {table} group by 1").fetchall()
    expect(f"{name} by option", by_option, [("option1", votes)])
    (distinct,) = duckdb.sql(f"select count(distinct voterId) from {table}").fetchall()[0]
    expect(f"voters in {name}", distinct, votes)
types = dict(row[:2] for row in duckdb.sql(f"describe select * from '{folder / 'votes.parquet'}'").fetchall())
wanted = {"timestamp": "TIMESTAMP WITH TIME ZONE", "sequence": "BIGINT", "weight": "DECIMAL(18,6)", "voterId": "VARCHAR"}
expect("types", {name: types[name] for name in wanted}, wanted)
frame = pandas.read_parquet(folder / "votes.parquet", columns=["optionId", "timestamp", "sequence"])
expect("pandas by option", frame["optionId"].value_counts().to_dict(), {"option1": votes})
expect("pandas' time", str(frame["timestamp"].dtype), "datetime64[us, UTC]")
expect("pandas' sequences", int(frame["sequence"].nunique()), votes)
book = openpyxl.load_workbook(folder / "votes.xlsx", read_only=True)
rows = sum(sum(1 for _ in sheet.iter_rows(values_only=True)) - 1 for sheet in book.worksheets)
expect("rows of the workbook", rows, workbook_votes)
print("exports: every file reads back right")
