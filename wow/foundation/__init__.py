"""Other people's video models behind our contract: what they are, how their files are read, how they sample."""
