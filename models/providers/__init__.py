"""Answers from servers elsewhere, leased like local models.

Rule: an upstream translates one API and checks what comes back; deadlines, the circuit breaker and limits are in
`remote`. Door: `registry`.
"""
