"""`python -m seqrl grade`: the checks of the sheets, run on submissions that are not trusted.

Three kinds of process. The *nursery* has imported what a submission needs and knows no hidden
seed; it forks a child for each submission. The *child* is confined (`sandbox`), runs the notebook
and answers calls: arguments in, values out. The *judge* holds the checks and the hidden seeds and
compares. A child never hears of a verdict, so it cannot forge one.
"""
