"""Imagine, judge, rewrite, again: the SOPHIA loop of WoW (arXiv 2509.22642), its critics and its refiners."""
