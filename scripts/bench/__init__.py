"""The parts of ``bench_iel.py``: what is timed, how, and how it is shown."""
