"""Guest images that this project builds for its demo and its tests."""
