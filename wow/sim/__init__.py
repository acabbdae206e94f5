"""Simulators behind the Gymnasium API, their scripted experts, and the recording of episodes."""
