"""Programs are run, and not imported to look for doctests."""

collect_ignore = ["programs"]
