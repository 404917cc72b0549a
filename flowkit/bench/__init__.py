"""`flowkit bench`: one table each, which any user can run on their own machine."""
