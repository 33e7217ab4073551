"""Metrics, health and status."""
