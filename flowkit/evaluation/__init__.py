"""Evaluation of models against the truth, beside baselines."""
