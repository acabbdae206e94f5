"""Our own networks: tensors in, tensors out. They know no disk layout, no simulator and no command line."""
