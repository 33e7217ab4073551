"""Turns texts into vectors with an ONNX embedding model.

Rule: a vector is a pure function of (model folder, text), so vectors agree between runs and machines.
Door: `embedder`.
"""
