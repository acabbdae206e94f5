"""From a video to robot actions: flow, inverse dynamics, and how far to trust them; controller and replay."""
