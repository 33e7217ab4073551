"""From a file on disk to chunks with vectors, streamed. Imports nothing of ours from outside itself."""
