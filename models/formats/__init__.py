"""Reads the headers of GGUF and safetensors files from strangers. Door: `gguf_header`."""
