"""What a run writes down for people: logs, pages, tables."""
