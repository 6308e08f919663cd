"""The one seam where an operation meets its backend.

Every function here takes and gives NumPy or Arrow arrays, checks what Rust cannot say well,
and calls the compiled module. `lmmixup.reference` holds the plain truth of each.
"""
