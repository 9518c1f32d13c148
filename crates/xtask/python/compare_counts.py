"""Counts generated elections with `canvass count` and with independent programs from PyPI, and compares who is elected.

Run by `cargo xtask compare`. Programs differ in how they break ties, so an election in which `canvass count` reports a
tie is compared only where the other program reports ties too, and told apart otherwise.
"""

import json
import random
import signal
import subprocess
import sys

import starvote
from pref_voting import grade_methods, margin_based_methods, proportional_methods, scoring_methods
from pref_voting.grade_profiles import GradeProfile
from pref_voting.iterative_methods import instant_runoff_tb
from pref_voting.profiles import Profile
from pref_voting.profiles_with_ties import ProfileWithTies


def orders(rng, options, complete):
    """Distinct rankings with their counts: made of a few camps, so that elections have a shape."""
    camps = [rng.sample(range(options), options) for _ in range(3)]
    grouped = {}
    for _ in range(rng.randint(60, 900)):
        order = list(rng.choice(camps))
        for _ in range(rng.randint(0, options)):
            a, b = rng.randrange(options), rng.randrange(options)
            order[a], order[b] = order[b], order[a]
        length = options if complete else rng.randint(1, options)
        key = tuple(order[:length])
        grouped[key] = grouped.get(key, 0) + 1
    return sorted(grouped.items())


def ranked(rng, complete):
    options = rng.randint(3, 8)
    rows = orders(rng, options, complete)
    return options, rows, [{"count": n, "ranking": list(order)} for order, n in rows]


def graded(rng, most):
    options = rng.randint(3, 7)
    rows = [[rng.randint(0, most) for _ in range(options)] for _ in range(rng.randint(20, 200))]
    return options, rows


def linear(rows):
    return Profile([list(order) for order, _ in rows], rcounts=[n for _, n in rows])


def with_ties(options, rows):
    ranks = [{option: place + 1 for place, option in enumerate(order)} for order, _ in rows]
    profile = ProfileWithTies(ranks, rcounts=[n for _, n in rows], candidates=list(range(options)))
    profile.use_extended_strict_preference()
    return profile


def pairs(method, rng):
    """A method of pairs, on truncated ballots as well, where the measure matters."""
    options, rows, ballots = ranked(rng, rng.random() < 0.5)
    return options, ballots, method(with_ties(options, rows))


def support(profile):
    return lambda a, b: profile.support(a, b)


def condorcet(name, measure=None):
    function = getattr(margin_based_methods, name)

    def case(rng):
        options, ballots, winners = pairs(
            lambda p: function(p, strength_function=support(p)) if measure == "winning_votes" else function(p), rng
        )
        return options, 1, ballots, {"measure": measure} if measure else {}, winners

    return case


def irv(rng):
    options, rows, ballots = ranked(rng, True)
    return options, 1, ballots, {}, instant_runoff_tb(linear(rows))


def stv(function):
    def case(rng):
        options, rows, ballots = ranked(rng, False)
        seats = rng.randint(2, options - 1)
        return options, seats, ballots, {}, function(with_ties(options, rows), num_seats=seats)

    return case


def borda(rng):
    options, rows, ballots = ranked(rng, True)
    return options, 1, ballots, {}, scoring_methods.borda(linear(rows))


def plurality(rng):
    options, rows, ballots = ranked(rng, True)
    return options, 1, ballots, {}, scoring_methods.plurality(linear(rows))


def star(rng):
    options, rows = graded(rng, 5)
    ballots = [{"count": 1, "scores": row} for row in rows]
    try:
        winners = starvote.election(
            method=starvote.STAR_Voting,
            ballots=[{str(o): score for o, score in enumerate(row)} for row in rows],
            seats=1,
            maximum_score=5,
        )
        winners = [int(name) for name in winners]
    except starvote.UnbreakableTieError:
        winners = None
    return options, 1, ballots, {"max_score": 5}, winners


def graded_by(function, most):
    def case(rng):
        options, rows = graded(rng, most)
        profile = GradeProfile([dict(enumerate(row)) for row in rows], list(range(most + 1)))
        if most == 1:
            ballots = [{"count": 1, "choices": [o for o, grade in enumerate(row) if grade]} for row in rows]
        else:
            ballots = [{"count": 1, "scores": row} for row in rows]
        return options, 1, ballots, {}, function(profile)

    return case


METHODS = {
    "plurality": (plurality, True),
    "approval": (graded_by(grade_methods.approval, 1), True),
    "score": (graded_by(lambda p: grade_methods.score_voting(p, evaluation_method="sum"), 5), True),
    "star": (star, False),
    "irv": (irv, False),
    "stv_scottish": (stv(proportional_methods.stv_scottish), False),
    "stv_meek": (stv(proportional_methods.stv_meek), False),
    "schulze": (condorcet("beat_path", "winning_votes"), True),
    "ranked_pairs": (condorcet("ranked_pairs"), True),
    "minimax": (condorcet("minimax"), True),
    "minimax by winning votes": (condorcet("minimax", "winning_votes"), True),
    "borda": (borda, True),
}


def count(program, title, method, options, seats, ballots, rules):
    election = {
        "title": title, "method": method.split()[0], "rules": rules, "seats": seats,
        "options": [str(option) for option in range(options)], "ballots": ballots,
    }
    output = subprocess.run(
        [program, "count", "-", "--json"], input=json.dumps(election), capture_output=True, text=True, check=True
    )
    counted = json.loads(output.stdout)
    return sorted(map(int, counted["winners"])), sorted(map(int, counted["tied"]))


class NoEnd(Exception):
    """The other program takes longer than anybody would wait."""


def stop(_signal, _frame):
    raise NoEnd


def known_within(seconds, case, title):
    signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        return case(random.Random(title))
    finally:
        signal.alarm(0)


def main():
    program, elections = sys.argv[1], int(sys.argv[2])
    chosen = sys.argv[3:] or METHODS
    print(f"{'method':26} {'alike':>6} {'of':>6} {'tied, not compared':>20} {'no end':>8}")
    failed = False
    for method in chosen:
        case, reports_ties = METHODS[method]
        alike = compared = tied_away = endless = 0
        for number in range(elections):
            title = f"{method} {number}"
            try:
                options, seats, ballots, rules, known = known_within(10, case, title)
            except NoEnd:
                endless += 1
                continue
            if method == "schulze":
                rules = {"measure": "winning_votes"}
            winners, tied = count(program, title, method, options, seats, ballots, rules)
            if tied and not reports_ties:
                tied_away += 1
                continue
            compared += 1
            known = None if known is None else sorted(int(option) for option in known)
            if known == sorted(winners + tied):
                alike += 1
            else:
                print(f"  DIFFERENT: {title}: {winners}, tied {tied}; the other program: {known}")
        failed |= alike < compared
        print(f"{method:26} {alike:6} {compared:6} {tied_away:20} {endless:8}", flush=True)
    sys.exit(failed)


main()
