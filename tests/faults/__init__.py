"""What happens when something breaks: a store or database that is down or restarted, a full disk, a signal."""
