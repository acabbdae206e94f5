"""From one observation and an intention to a future: flow maths, sampler, the world model."""
