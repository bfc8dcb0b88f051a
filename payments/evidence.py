"""What a decision rests on, as operators type it: one rule for every command that asks for it."""

from __future__ import annotations

from models.errors import Refused

# Short enough for "工单 17", too long for "ok".
EVIDENCE_MIN, EVIDENCE_MAX = 4, 200


class EvidenceNeeded(Refused):
    """A decision needs a reason that can be checked later."""

    code = "E-EVID"

    def __init__(
        self, text: str = f"请写明依据（单号、截图编号、对方答复等），至少 {EVIDENCE_MIN} 个字"
    ) -> None:
        super().__init__(text)


def checked(evidence: str) -> str:
    """Return the evidence without blanks around it. Raises: EvidenceNeeded - too short, or too long."""
    evidence = evidence.strip()
    if len(evidence) < EVIDENCE_MIN:
        raise EvidenceNeeded
    if len(evidence) > EVIDENCE_MAX:
        raise EvidenceNeeded(f"依据太长，不超过 {EVIDENCE_MAX} 个字")
    return evidence
