"""Everything that holds weights: catalogue, memory, processes, embedding. Imports nothing of ours from outside itself."""
