"""Wire format: what a task, and its result, consist of when they travel between processes."""
