"""The operator's tools in the terminal; all but ``doctor`` ask the API of a running gateway."""
