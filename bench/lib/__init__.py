"""What every benchmark of slipstream uses: how to measure, what to record, how to show it.

* `interleave` runs contenders in turn, in an order shuffled every round.
* `spread` turns samples into medians with their spread, and ratios round by round.
* `environment` records where that happened, `timer` what the clock itself costs.
* `answers` counts the rows that a contender answers otherwise than the reference.
* `results` keeps everything as JSON, `tables` and `plots` show it.

Two figures compare only when they come from the same run: ratios are taken within a round, between
blocks that ran seconds apart on the same machine, and never between files.
"""
