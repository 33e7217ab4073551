"""What the service's process owes the machine: its home, its memory, systemd. Door: `home`."""
