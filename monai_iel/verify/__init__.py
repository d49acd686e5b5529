"""Verify a MONAI bundle offline: files, metadata, licence, checksums, what it would run; and run it on phantoms."""

from __future__ import annotations

from monai_iel.verify.bundle import Verification, verify_bundle
from monai_iel.verify.check import Check
from monai_iel.verify.listing import Found, list_found

__all__ = ["Check", "Found", "Verification", "list_found", "verify_bundle"]
