"""Drops steps from a script for as long as the databases still differ (Zeller and Hildebrandt, Simplifying and Isolating
Failure-Inducing Input, 2002)."""
import time


def shrink(steps, differs, seconds):
    """`differs`(steps) -> bool. The shortest script found within the time."""
    until = time.time() + seconds
    size = max(1, len(steps) // 2)
    while time.time() < until:
        at, dropped = 0, False
        while at < len(steps) and time.time() < until:
            shorter = steps[:at] + steps[at + size:]
            if shorter and differs(shorter):
                steps, dropped = shorter, True
            else:
                at += size
        if size == 1 and not dropped:
            break
        size = max(1, size // 2)
    return steps
