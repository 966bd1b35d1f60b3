"""From recognition results to utterances on the leg's own clock."""
