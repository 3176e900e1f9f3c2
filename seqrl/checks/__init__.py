"""Self-checks of the exercise sheets: `check("1.2", my_function)` says right, or what is wrong.

An autograder calls the same function with seeds of its own: `run("1.2", my_function, seeds=...)`.
"""

from seqrl.checks.core import Exercise, Result, check, exercise, run

__all__ = ["Exercise", "Result", "check", "exercise", "run"]
