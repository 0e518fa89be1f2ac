"""Whether two answers are equal: compare.py QUERY OURS.csv (psql --csv -t) THEIRS.json (rows of DuckDB).

Rows in any order; numbers to 1e-9 of the larger one. Where LIMIT cuts among equals of the sort key any of them will do: there
the rows' numbers are compared, sorted, not the other columns. Prints "equal" or what differs."""
import csv
import json
import sys


def value(text):
    if text is None:
        return ""
    if isinstance(text, (int, float)):
        return float(text)
    try:
        return float(text)
    except ValueError:
        return text


def order(row):
    return [(0, v, "") if isinstance(v, float) else (1, 0.0, v) for v in row]


def same(a, b):
    if isinstance(a, float) and isinstance(b, float):
        return a == b or abs(a - b) <= 1e-9 * max(abs(a), abs(b))
    return a == b


query, ours_path, theirs_path = sys.argv[1:]
with open(ours_path, newline="") as f:
    ours = [[value(v) for v in row] for row in csv.reader(f)]
with open(theirs_path) as f:
    theirs = [[value(v) for v in row] for row in json.load(f)]
if "LIMIT" in query:
    column = {"u": -1, "c": 1, "l": 1, "2": 1, "3": 2}[query.split("ORDER BY ")[1][0]]
    if "count(DISTINCT UserID) FROM" in query:
        column = 2
    ours, theirs = [[r[column]] for r in ours], [[r[column]] for r in theirs]
# Sorted by text first: floats that differ in their last digits must not change the order of rows.
ours.sort(key=lambda r: order([round(v, 6) if isinstance(v, float) else v for v in r]))
theirs.sort(key=lambda r: order([round(v, 6) if isinstance(v, float) else v for v in r]))
if len(ours) != len(theirs):
    sys.exit(f"{len(ours)} rows, DuckDB has {len(theirs)}")
for a, b in zip(ours, theirs):
    if len(a) != len(b) or not all(map(same, a, b)):
        sys.exit(f"{a} is {b} in DuckDB")
print("equal")
