"""The numbers in papers: functions over arrays or a sampler."""
