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
    """`wanted` may be None: then nothing is asked."""
    return Result(figures, f"{ratio:.2f}×", f"≥ {wanted}×" if wanted else "", ratio >= wanted if wanted else None)


def at_most(figures, ratio, wanted):
    return Result(figures, f"{ratio:.2f}×", f"≤ {wanted}×" if wanted else "", ratio <= wanted if wanted else None)
