"""The audit of labelled images before anything learns from them: `audit` reads them once and returns its findings.

inventory reads; odd, copies, balance, near, groups, shortcuts and labels find. No torch but in `margins`.
"""

from .findings import Finding
from .inventory import Inventory
from .run import Audit, audit

__all__ = ["Audit", "Finding", "Inventory", "audit"]
