"""One loop for every model, its objectives, named recipes, checkpoints and exact resume."""
