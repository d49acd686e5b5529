"""The parts of ``audit_study.py``: corrupted labels, rankings, trainings with what was corrected, and the tables."""
