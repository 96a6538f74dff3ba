"""The questions that a run can answer: each a class that owns every answer which differs by question."""
