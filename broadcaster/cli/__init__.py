"""The command line. Everything is wired together here and nowhere else."""
