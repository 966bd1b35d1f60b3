"""Logs, metrics and what each latency means."""
