"""Notes and second opinions, written down for a page's form and for the API alike.

Takes what somebody says; checks whose customer it is, and keeps it once by its id. An opinion
stands beside the score that everybody else would get at the moment. Knows nothing about HTTP.
"""

from typing import Any

import msgspec
from fastapi.concurrency import run_in_threadpool

from features.cutoffs import AsOf
from features.durations import parse_moment, this_moment
from serving.action_log import known_customer, new_id
from serving.batching import Together
from serving.bodies import fitted
from serving.explaining import Asked
from serving.notes import Note, Notes
from serving.opinions import Opinion
from serving.refusals import ModelUnavailableError
from serving.schemas_actions import GiveOpinion, WriteNote
from serving.schemas_scores import ScoreRequest
from serving.settling import opinions_of, window
from serving.sight import Sight


def write_note(sight: Sight, who: str, said: WriteNote) -> Note:
    """Keep a note on a customer.

    Raises
    ------
    NotFoundError
        Of a customer whom the caller does not see.
    UsedError
        When its id belongs to another note on the customer.
    """
    known_customer(sight, said.customer)
    kept = sight.tenant.kept
    written = Note(said.id or new_id(), this_moment(), who, said.text)
    return Notes(kept.database, kept.workspace).add(said.customer, written)


async def give_opinion(
    together: Together[Asked, bytes], sight: Sight, problem: str, who: str, said: GiveOpinion
) -> Opinion:
    """Keep what a person expects of a customer.

    Raises
    ------
    NotFoundError, UsedError
    """
    await run_in_threadpool(known_customer, sight, said.customer)
    made = await _beside_score(together, sight, problem, who, said)
    return await run_in_threadpool(opinions_of(sight.tenant).add, made)


async def _beside_score(
    together: Together[Asked, bytes], sight: Sight, problem: str, who: str, said: GiveOpinion
) -> Opinion:
    """An opinion beside the score of now; without one where no model answers or it gives none."""
    kept, found = sight.tenant.kept, dict[str, Any]()
    body = {"problem": problem, "customer": said.customer, "reasons": 0}
    cutoff, spell = kept.end(), None
    try:
        answer = await together.do(Asked(sight, fitted(body, ScoreRequest)))
        found = msgspec.json.decode(answer)
        as_of = AsOf(parse_moment(found["as_of"]), parse_moment(found["known_time"]))
        cutoff = as_of.moment
        contract = sight.tenant.scorer(problem)[1].model.contract
        spell = await run_in_threadpool(window, kept, contract, said.customer, as_of)
    except ModelUnavailableError:
        pass  # what a person thinks is worth keeping all the same
    opens, closes = spell or (None, None)
    return Opinion(
        said.id or new_id(), said.customer, problem, this_moment(), who, int(said.says == "yes"),
        said.because, cutoff, opens, closes, found.get("probability"), found.get("band"),
        found.get("value_at_stake"), found.get("model", ""), found.get("model_version", ""),
        found.get("score_id", ""),
    )  # fmt: skip
