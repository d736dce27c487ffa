"""Small pieces on their own, beside what a user would take instead or the core might have been.

`benchmarks` holds those that pytest-benchmark times (``python -m bench micro``); `parse` and
`encode` take turns with their rivals and give ratios.
"""
