"""Calls and their legs."""
