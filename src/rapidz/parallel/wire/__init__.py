"""Wire format: what travels between processes."""
