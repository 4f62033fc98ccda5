"""The training bench: data, networks, training, evaluation, plots, export. Never imported by serving."""
