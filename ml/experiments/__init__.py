"""Training runs that can be repeated: each module is one EXPERIMENT with command, time and result."""
