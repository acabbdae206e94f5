"""WoWBench: what a world model is worth, in numbers that carry their n, their interval and the command behind them."""
