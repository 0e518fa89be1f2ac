#!/usr/bin/env python3
"""Makes airports.csv and flights.csv from an unpacked copy of the npm package vega-datasets.

    npm pack vega-datasets@3.2.1 && tar -xzf vega-datasets-3.2.1.tgz
    examples/flights/derive.py package

Only the form changes: 'NA' becomes an empty field (NULL), dates become ISO, flights get the number
of their line in the source as key. Nothing is dropped, rounded or invented.
"""
import csv
import json
import pathlib
import sys


def airports(data, out):
    with open(data / "airports.csv", newline="", encoding="utf-8") as source:
        rows = list(csv.DictReader(source))
    with open(out / "airports.csv", "w", newline="", encoding="utf-8") as target:
        writer = csv.writer(target, lineterminator="\n")
        writer.writerow(["iata", "name", "city", "state", "country", "latitude", "longitude"])
        for row in rows:
            city, state = ("" if row[key] == "NA" else row[key] for key in ("city", "state"))
            writer.writerow([row["iata"], row["name"], city, state, row["country"],
                             row["latitude"], row["longitude"]])
    return {row["iata"] for row in rows}


def flights(data, out, known):
    with open(data / "flights-20k.json", encoding="utf-8") as source:
        rows = json.load(source)
    with open(out / "flights.csv", "w", newline="", encoding="utf-8") as target:
        writer = csv.writer(target, lineterminator="\n")
        writer.writerow(["flight_id", "departed", "origin", "destination", "delay", "distance"])
        for number, row in enumerate(rows, start=1):
            for airport in (row["origin"], row["destination"]):
                if airport not in known:
                    sys.exit(f"flight {number}: airport {airport} is not in airports.csv")
            writer.writerow([number, row["date"].replace("/", "-"), row["origin"],
                             row["destination"], row["delay"], row["distance"]])


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    here = pathlib.Path(__file__).resolve().parent
    package = pathlib.Path(sys.argv[1]) / "data"
    flights(package, here, airports(package, here))
