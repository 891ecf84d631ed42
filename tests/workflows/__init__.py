"""What is computed of scenes."""
