"""What people read of a run: logs, reports, tables of ablations."""
