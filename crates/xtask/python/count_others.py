"""Times counts by pyrankvote and pref_voting on election files; run by `cargo xtask bench counting`.

Prints one JSON object a line. Only the count itself is timed, not the making of the program's own ballots.
"""

import json
import sys
import time

from pref_voting import proportional_methods
from pref_voting.profiles_with_ties import ProfileWithTies
from pyrankvote import Ballot, Candidate, instant_runoff_voting, single_transferable_vote


def timed(count):
    start = time.perf_counter()
    count()
    return time.perf_counter() - start


def main():
    method, path, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
    with open(path, encoding="utf-8") as file:
        election = json.load(file)
    candidates = [Candidate(name) for name in election["options"]]
    rows = [(row["count"], row["ranking"]) for row in election["ballots"]]
    ballots = [Ballot([candidates[o] for o in ranking]) for n, ranking in rows for _ in range(n)]
    if method == "irv":
        counts = {"pyrankvote": lambda: instant_runoff_voting(candidates, ballots)}
    else:
        profile = ProfileWithTies(
            [{o: place + 1 for place, o in enumerate(ranking)} for _, ranking in rows],
            rcounts=[n for n, _ in rows],
            candidates=list(range(len(candidates))),
        )
        seats = election["seats"]
        counts = {
            "pyrankvote": lambda: single_transferable_vote(candidates, ballots, number_of_seats=seats),
            "pref_voting": lambda: proportional_methods.stv_scottish(profile, num_seats=seats),
        }
    for program, count in counts.items():
        print(json.dumps({"program": program, "seconds": sorted(timed(count) for _ in range(rounds))[rounds // 2]}))


main()
