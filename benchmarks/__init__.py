"""Side by side with the peers: the same answers, timed in one process.

Run `python -m benchmarks --help`. Nothing here is shipped.
"""
