"""Reads the headers of GGUF and safetensors files.

Rule: files are untrusted; every length is checked before anything is read or allocated.
Door: `gguf_header`.
"""
