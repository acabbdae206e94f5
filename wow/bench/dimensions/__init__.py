"""The metrics, one idea in each file; `registry` lists them."""
