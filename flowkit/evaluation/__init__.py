"""How good a model is: against the truth, and beside what others use."""
