"""Answers as the API's documentation shows them: a household of the grocery example.

Gives example documents, and puts one into a route's description. Each fits the schema that it
stands beside, and a test holds it to that. Knows nothing about how an answer is made.
"""

import json
from typing import Any

from pydantic import BaseModel

JSON, NDJSON = "application/json", "application/x-ndjson"
AS_OF, DUE, NOW = "2017-12-31T00:00:00Z", "2018-01-07T00:00:00Z", "2018-01-02T09:30:00Z"
MODEL = {"model": "grocery-churn", "model_version": "1"}
STATEMENT = "Bought on 1 day in the last 8 weeks; customers like this usually on 7"
PERSONA = "Low number of lines, low coupon discount"
BAND = {"probability": 0.672, "percentile": 99.5, "band": "very high"}
EVENT_ID = "40715131900"
WEEKS = (("07", 0.888), ("14", 0.804), ("21", 0.735), ("28", 0.672))


SHOWN: dict[str, Any] = {}
"""Examples by name; the app puts them into its OpenAPI document, where FastAPI, which leaves out
nulls, does not touch them."""


def shown(
    model: type[BaseModel], example: Any, description: str = "The answer", kind: str = JSON,
    name: str = "",
) -> dict[str, Any]:  # fmt: skip
    """A `responses` entry of a route that answers with this model; its example goes to SHOWN.

    Parameters
    ----------
    name
        Of the example; the model's unless given.
    """
    name = name or model.__name__
    SHOWN[name] = {"value": example}
    examples = {"shown": {"$ref": f"#/components/examples/{name}"}}
    return {"model": model, "description": description, "content": {kind: {"examples": examples}}}


SCORE: dict[str, Any] = {
    "score_id": "066151c0df75a47e949d210d4eb2bd", "problem": "churn", "customer": "555",
    "status": "scored", **BAND, "interval": {"low": 0.559, "high": 0.716, "level": 0.9},
    "base_points": 4.2, "rest_points": 13.3,
    "reasons": [
        {
            "feature": "purchase_days_active_56d", "group": "Purchases", "value": 1.0,
            "usual": 7.0, "unit": "days", "points": 49.7, "direction": "raises",
            "statement": STATEMENT, "sentence": f"{STATEMENT}; raises the score by 49.7 points",
            "kind": "actionable", "peers": PERSONA, "events": [EVENT_ID], "n_events": 1,
        }
    ],
    "weekly_risk": [
        {"until": f"2018-01-{day}T00:00:00Z", "probability": chance} for day, chance in WEEKS
    ],
    "value_at_stake": 13.34,
    "stage": {"name": "decision", "since": "2017-01-14T00:00:00Z"},
    "as_of": AS_OF, "known_time": AS_OF, "valid_until": DUE, **MODEL, "no_score": None,
    "persona": {
        "name": PERSONA, "says": "Purchases so far have 5.2 lines on average, others 13.5.",
    },
    "no_persona": None,
    "sources": [
        {
            "name": "baskets", "rows": 155848, "first_event": "2017-01-01T00:00:00Z",
            "last_event": AS_OF, "last_arrival": AS_OF, "usual_pause_days": 1.0,
            "silent_days": 0.0, "status": "fresh",
        }
    ],
    "unread": [],
    "touchpoints": [
        {
            "event_id": EVENT_ID, "event": "purchase", "event_time": "2017-11-13T00:00:00Z",
            "points": -3.1, "no_score_without": None,
        }
    ],
    "touchpoints_among": {"tried": 8, "events": 8},
}  # fmt: skip

BATCH_BODY = "".join(
    f'{{"problem": "churn", "customer": "{customer}"}}\n' for customer in ("555", "556")
)
BATCH_LINES = f'{{"index": 0, "score": {json.dumps(SCORE)}}}\n'

WHAT_IF = {
    "problem": "churn", "customer": "555", "status": "answered", "as_of": AS_OF,
    "probability": 0.672, "supposing": 0.608, "points": -6.4,
    "label": "What the model has seen of customers with and without it, not what doing it would "
    "change.",
    "no_score": None, **MODEL,
}  # fmt: skip

PROBLEMS = {
    "problems": [
        {
            "problem": "churn", "question": "the probability of no purchase within 28 days",
            "asked_of": "customers with at least one purchase in the 56 days before the cutoff, "
            "asked every 7 days",
            "horizon_days": 28.0, **MODEL, "features": ["event_count_7d", "purchase_recency"],
            "why_not": None,
        }
    ]
}  # fmt: skip

CUSTOMER = {
    "customer": "555", "n_events": 8, "uncounted": False,
    "events": [
        {
            "event_id": EVENT_ID, "event": "purchase", "event_time": "2017-11-13T00:00:00Z",
            "recorded_time": "2017-11-13T00:00:00Z", "properties": {"lines": 6.0, "value": 13.34},
        }
    ],
    "next": "MTUxMDUzMTIwMDAwMDAwMCA0MDcxNTEzMTkwMA==", "attributes": [],
    "attributes_next": None, "scores_next": None,
    "scores": [
        {
            "score_id": SCORE["score_id"], "problem": "churn", "as_of": AS_OF, **BAND,
            "no_score": None, **MODEL,
        }
    ],
}  # fmt: skip

ACTION_BODY = {
    "customer": "555", "kind": "call", "at": "2018-01-02T09:15:00Z", "outcome": "not reached",
    "cost": 12.0, "note": "Again on Thursday.", "id": "call-17",
}  # fmt: skip
OUTCOME_BODY = {"outcome": "reached", "note": "Will come by on Saturday."}
ACTION = {
    **{**ACTION_BODY, "outcome": "reached"}, "first_outcome": "not reached", "who": "jane.doe",
    "recorded": NOW,
    "follow_ups": [{**OUTCOME_BODY, "at": "2018-01-04T10:00:00Z", "who": "jane.doe"}],
}  # fmt: skip
ACTIONS = {"actions": [ACTION], "next": None}
NOTE_BODY = {
    "customer": "555", "text": "Moves to the coast in spring.", "who": "jane.doe", "id": "note-17",
}  # fmt: skip
NOTE = {**NOTE_BODY, "at": NOW}
OPINION_BODY = {
    "customer": "555", "problem": "churn", "says": "no", "because": "Was on holiday.",
    "who": "jane.doe", "id": "opinion-17",
}  # fmt: skip
OPINION = {
    **OPINION_BODY, "at": NOW, "expects": "They will stay", "as_of": AS_OF,
    "closes": "2018-01-28T00:00:00Z", "probability": 0.672, "band": "very high",
    "value_at_stake": 13.34, **MODEL, "score_id": SCORE["score_id"], "disagrees": True,
    "came": None,
}  # fmt: skip
DISAGREEMENTS = {
    "problem": "churn", "waiting": 1, "disagreements": [OPINION],
    "tally": {"known": 40, "person_right": 25, "model_right": 29, "person_brier": 0.375,
              "model_brier": 0.214},
}  # fmt: skip

LISTED = {
    "score_id": "066151c0df75a4.12.Y2h1cm4ANTU1",
    "customer": "555", **BAND, "interval": {"low": 0.559, "high": 0.716}, "band_before": "high",
    "week_ago": 0.641, "value_at_stake": 13.34, "expected_value": 8.96, "stage": "decision",
    "persona": PERSONA, "owner": "jane.doe",
    "last_event": {"event": "purchase", "event_time": "2017-11-13T18:02:00Z"},
    "last_action": {
        "kind": "email", "at": "2026-11-24T09:30:00Z", "who": "jane.doe", "outcome": "open",
    },
    "next_step": {"kind": "call", "due": "2026-12-02", "planned_by": "jane.doe"},
    "snoozed_until": None, "date_due": None, "days_to_date": None, "as_of": AS_OF,
    "valid_until": DUE, "base_points": 4.2,
    "reasons": [
        {
            "feature": "purchase_days_active_56d", "kind": "actionable", "statement": STATEMENT,
            "points": 49.7,
        }
    ],
}  # fmt: skip

AT_RISK = {
    "problem": "churn", "by": "probability", **MODEL, "as_of": AS_OF, "cohort": 2225,
    "unscored": {"not_active": 242}, "snoozed": 3,
    "totals": {"customers": 2225, "value_at_stake": 1169295.21, "expected_value": 42181.94},
    "customers": [LISTED], "next": "1.1", "bands": [{"value": "very high", "customers": 118}],
    "stages": [{"value": "decision", "customers": 2168}],
    "personas": [{"value": PERSONA, "customers": 744}], "owners": [],
}  # fmt: skip

PERSONAS = {
    "problem": "churn", **MODEL, "as_of": AS_OF, "asked": "the probability of no purchase within "
    "28 days", "base_rate": 0.132, "none_because": None,
    "personas": [
        {
            "name": PERSONA, "says": "Purchases so far have 5.1 lines on average, others 9.8.",
            "share": 0.34, "customers": 812, "rows": 6120, "rate": 0.171, "rate_low": 0.158,
            "rate_high": 0.185,
            "traits": [
                {
                    "says": "Mean lines of purchases so far", "here": 5.1, "everybody": 8.2,
                    "unit": "units of lines", "here_said": "5.1", "everybody_said": "8.2",
                }
            ],
            "path": ["decision"], "path_share": 1.0,
            "book": {
                "customers": 744, "share": 0.334, "mean_score": 0.161,
                "value_at_stake": 391220.4, "expected_value": 15104.2,
            },
            "own": None,
        }
    ],
    "others": {
        "customers": 41, "share": 0.018, "mean_score": 0.44, "value_at_stake": 1210.9,
        "expected_value": 502.1,
    },
    "own_others": None,
}  # fmt: skip
VERSION = {
    "alias": "champion", "version": "1", "gate": "passed", "reasons": "", "forced": "",
    "judgement": {
        "format": 1, "trees": 1873, "split": "by time with purge",
        "reliability": [
            {"score": 0.012, "rate": 0.013, "low": 0.008, "high": 0.02, "rows": 820}
        ],
    },
}  # fmt: skip
MODEL_ANSWER = {
    "problem": "churn", **MODEL, "since": NOW, "asked": "the probability of no purchase within 28 "
    "days", "champion": VERSION, "challenger": None, "link": None,
}  # fmt: skip

BOOK_LINES = f'{{"problem": "churn", "customer": "555", "place": 1, "as_of": "{AS_OF}"}}\n'
BOOK_CSV = f"problem,customer,place,as_of\r\nchurn,555,1,{AS_OF}\r\n"
PREDICTIVE_LINES = (
    '{"entity_id": "555", "score": 67, "grade": "A", "trend": "declining", '
    f'"reasons": ["{STATEMENT}"], "scored_on": "{AS_OF}", '
    '"score_id": "066151c0df75a4.12.Y2h1cm4ANTU1"}\n'
)
PREDICTIVE_CSV = (
    "entity_id,score,grade,trend,scored_on,score_id,reason_1\r\n"
    f'555,67,A,declining,{AS_OF},066151c0df75a4.12.Y2h1cm4ANTU1,"{STATEMENT}"\r\n'
)

JOURNEY_MAP: dict[str, Any] = {
    "problem": "churn", **MODEL, "outcome": "no purchase", "wanted": False,
    "since": "2017-01-01T00:00:00Z", "until": AS_OF, "stages_are": "stages",
    "compared": "moments", "label": "An association, found by comparing customers in the same "
    "situation.", "by": "all", "value": None,
    "choices": {"personas": [PERSONA], "channels": [], "periods": ["first half", "second half"]},
    "customers": 2464, "rate": 0.2119,
    "stages": [
        {
            "stage": "decision", "visits": 9608, "customers": 2469, "starts": 2314, "ends": 2380,
            "days": {"low": 18.0, "median": 37.0, "high": 83.0},
        }
    ],
    "transitions": [
        {
            "source": "awareness", "target": "decision", "kind": "step", "times": 6187,
            "customers": 1547,
        }
    ],
    "leaks": [{"stage": "decision", "lost": 471, "kept": 1741}],
    "paths": [
        {"path": ["decision", "awareness"], "customers": 1054, "outcomes": 110, "rate": 0.1044}
    ],
    "other_paths": {"different": 0, "customers": 0, "outcomes": 0, "rate": None},
    "touchpoints": [
        {
            "rank": 1, "says": "purchase: departments of 5 or more", "event": "purchase",
            "channel": None, "property": "departments", "level": None, "least": 5.0, "most": None,
            "customers": 1888, "share": 0.766, "effect": 0.0038, "low": -0.0025, "high": 0.0101,
            "surely": False, "hurts": True, "unadjusted": -0.2973, "unadjusted_rank": 8,
            "customers_at_stake": 7.1, "value_at_stake": 6478.26,
        }
    ],
}  # fmt: skip

READY = {
    "status": "ready", "reason": "", "models": {"churn": "1"}, "degraded": [], "as_of": AS_OF,
    "sources": [{"name": "baskets", "rows": 155848, "last_event": AS_OF}], "broken_off": [],
}  # fmt: skip
METRICS = 'milepost_requests_total{route="/v1/scores",status="200"} 12.0\n'

RESULTS = {
    "received": 1, "accepted": 1, "duplicate": 0, "quarantined": 0, "refused": 0,
    "results": [{"index": 0, "status": "accepted", "event_id": "basket-91"}],
}  # fmt: skip
SOME_REFUSED = {
    "received": 2, "accepted": 1, "duplicate": 0, "quarantined": 1, "refused": 0,
    "results": [
        {"index": 0, "status": "accepted", "event_id": "basket-91"},
        {
            "index": 1, "status": "quarantined", "reason": "event_time_missing",
            "detail": "event_time is missing",
        },
    ],
}  # fmt: skip
QUARANTINE = {
    "rows": [
        {
            "row": "08fd92cdb43aa71d4c2d69c6", "arrived": NOW, "source": "api",
            "reason": "event_time_missing", "detail": "event_time is missing",
            "body": '{"customer":"555","event":"purchase"}', "cut": False, "replayed": None,
        }
    ],
    "next": None,
}  # fmt: skip
TRIED_AGAIN = {"accepted": 1, "duplicate": 0, "quarantined": 0, "refused": 0, "next": None}

WEBHOOK = {
    "id": "1302602e13104ef89f37518322526f35", "url": "https://crm.example.com/hooks/milepost",
    "types": ["milepost.band.changed"], "active": True, "created": NOW,
}  # fmt: skip
WEBHOOK_MADE = {**WEBHOOK, "secret": "whsec_c2VjcmV0IG9mIGFuIGV4YW1wbGUsIG5vdGhpbmcgbW9yZQ=="}
DELIVERIES = {
    "deliveries": [
        {
            "event": "d469ced0-58d0-5894-90ba-6b643b5471c3", "type": "milepost.band.changed",
            "subject": "555", "state": "delivered", "tries": 1, "changed": NOW,
            "next_try": None, "status": 204, "error": None,
        }
    ],
    "next": None,
}  # fmt: skip
