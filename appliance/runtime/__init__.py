"""Keeps the service's process in order on its machine: home, lock, socket, memory, systemd.

Rule: knows nothing about requests; `service` starts and stops everything here.
Door: `home`.
"""
