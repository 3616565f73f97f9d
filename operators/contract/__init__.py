"""The contract: every kind, field and name that components say to one another.

Standard library only. Each module is one API group; `kinds` lists all kinds. The CRDs in `crds/` say the
same to the API server, and `tests/unit/contract` holds the two together.
"""
