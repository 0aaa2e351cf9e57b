"""Layer 5: re-exports under the names of Flask's submodule, nothing else."""
