"""What workflows cost: from the archive beside the same from SAFEs, and beside what they are allowed to take."""
