"""The Flow of a Migration: Compute carries it out, and here its steps are shown as those of every other operation."""
