"""A line of the table."""

from dataclasses import dataclass


@dataclass
class Result:
    figures: str
    ratio: str
    reach: str
    reached: bool | None

    @property
    def verdict(self):
        return {True: "reached", False: "NOT reached", None: ""}[self.reached]


def at_least(figures, ratio, wanted):
    return Result(figures, f"{ratio:.2f}×", f"≥ {wanted}×", ratio >= wanted)


def at_most(figures, ratio, wanted):
    return Result(figures, f"{ratio:.2f}×", f"≤ {wanted}×", ratio <= wanted)
