"""Many pages in one run: what is to do, what is done already, processes that share the work, and a report."""
