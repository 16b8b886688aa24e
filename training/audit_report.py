"""An audit as a person reads it in a terminal.

Takes an `Audit`; gives text of `findings.WIDTH` columns. Knows nothing about how anything is
found.
"""

from training.audit import Audit
from training.findings import LEAK, NOTE, WARNING, tell, wrapped

VERDICTS = {
    LEAK: "LEAK: do not trust this model's figures until it is mended",
    WARNING: "no leak is proven; look at the warnings before you believe the figures",
    NOTE: "clean",
}


def report(found: Audit) -> str:
    """What was found, the worst first, and what was tried."""
    counts = ", ".join(
        f"{len(some)} {severity}{'s' if len(some) != 1 else ''}"
        for severity in (LEAK, WARNING, NOTE)
        if (some := found.of(severity))
    )
    worst = found.findings[0].severity if found.findings else NOTE
    lines = [f"{found.problem}: {VERDICTS[worst]}{f' ({counts})' if counts else ''}"]
    for finding in found.findings:
        lines += ["", *tell(finding)]
    lines += ["", *wrapped(tried(found), "  ")]
    return "\n".join(lines)


def tried(found: Audit) -> str:
    """What the proof and the checks looked at, and what of it was drawn by chance."""
    proof = found.proof
    rows = ", ".join(
        f"{_of(count, found.n_rows_of[part])} {part}" for part, count in found.n_rows.items()
    )
    moved = len(proof.movements)
    says = f"{moved:,} features moved" if moved else "none moved"
    *some, last = proof.mutations
    drawn = ""
    if found.n_rows != found.n_rows_of or proof.n_customers < proof.n_customers_of:
        drawn = ", drawn by chance; outcomes for peer rates are counted from every row"
    return (
        f"Tried: {proof.n_values:,} values of {found.n_features} features at {proof.n_edges} "
        f"cutoffs while everything beyond them was {', '.join(some)} and {last}, and peer rates "
        f"were counted anew; {says}. Labels were turned round, and rows computed alone. Looked at "
        f"{rows} rows of the split {found.split}, and changed the journeys of "
        f"{_of(proof.n_customers, proof.n_customers_of)} customers{drawn}."
    )


def _of(count: int, every: int) -> str:
    return f"{count:,}" if count == every else f"{count:,} of {every:,}"
