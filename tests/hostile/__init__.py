"""The issue's hostile list: what was tried against systems of this kind, tried against ours; one file a line."""
