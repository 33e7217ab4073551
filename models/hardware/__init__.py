"""What the machine, or the cgroup, has: processors, memory, GPUs, pressure. Door: `ram`."""
