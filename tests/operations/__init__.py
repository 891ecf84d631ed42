"""What operators rely on: alerts, the dashboard, what docs/operations.md says."""
