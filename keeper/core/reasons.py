"""Every reason keeper can give, with the sentence an operator reads at 3 a.m.

A reason is a word of a fixed list because it becomes a metric label, a journal field and a test row.
Adding one means adding its sentence here and a row to a decision table in the tests.
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why a reading, a condition or a decision is what it is."""

    # What is seen, from the cheapest witness to the dearest.
    LIVE = "live"
    ANSWERS = "answers"
    STATIC_BY_DESIGN = "static_by_design"
    FROZEN = "frozen"
    BLACK = "black"
    NO_BYTES = "no_bytes"
    CORRUPT = "corrupt"
    NO_SOUND = "no_sound"
    STUTTERING = "stuttering"
    UNREACHABLE = "unreachable"
    HTTP_ERROR = "http_error"
    PROBE_FAILED = "probe_failed"
    NOT_ASKED = "not_asked"
    SILENT = "silent"
    LINK_UP = "link_up"
    LINK_LOST = "link_lost"
    DIAL_REFUSED = "dial_refused"
    KEY_REFUSED = "key_refused"
    HOST_KEY_CHANGED = "host_key_changed"
    PROCESS_UP = "process_up"
    PROCESS_GONE = "process_gone"
    PROCESS_STARTING = "process_starting"
    PROCESS_STOPPED_ON_PURPOSE = "process_stopped_on_purpose"
    MANAGER_DOWN = "manager_down"
    MANAGER_GAVE_UP = "manager_gave_up"
    MANAGER_RETRYING = "manager_retrying"
    CRASH_LOOP = "crash_loop"
    DISK_FULL = "disk_full"
    DISK_LOW = "disk_low"
    GPU_LOST = "gpu_lost"
    DISPLAY_LOST = "display_lost"
    WORKLOAD_WELL = "workload_well"
    SYMPTOM = "symptom"
    WRONG_PICTURE = "wrong_picture"

    # The life of a rental.
    VACANT = "vacant"
    PENDING = "pending"
    RUNNING = "running"
    BOOTING = "booting"
    BOOT_STUCK = "boot_stuck"
    BOOT_FAILED = "boot_failed"
    MARKET_SAYS_DEAD = "market_says_dead"
    MARKET_STOPPED_IT = "market_stopped_it"
    DEAD_MAN_STOPPED = "dead_man_stopped"
    GONE = "gone"
    MISSING_FROM_LIST = "missing_from_list"
    CREATE_UNSETTLED = "create_unsettled"
    CREATE_NEVER_APPEARED = "create_never_appeared"
    FOUND_BY_LABEL = "found_by_label"
    DUPLICATE_RENTAL = "duplicate_rental"
    STRAY_RENTAL = "stray_rental"
    PRICE_DRIFT = "price_drift"
    NOT_DEPLOYED = "not_deployed"
    DEPLOYED = "deployed"
    DEPLOY_FAILED = "deploy_failed"
    DEPLOY_UNSETTLED = "deploy_unsettled"
    AUDITION_FAILED = "audition_failed"
    AUDITION_WAITS = "audition_waits"
    WARMING_UP = "warming_up"
    NO_PICTURE_EVER = "no_picture_ever"
    CONDEMNED = "condemned"
    SUPERSEDED = "superseded"
    STREAM_REMOVED = "stream_removed"
    CONTRACT_ENDING = "contract_ending"
    OUTBID = "outbid"

    # Why keeper does not act, or not yet.
    HEALTHY = "healthy"
    UNKNOWN_IS_NOT_UNHEALTHY = "unknown_is_not_unhealthy"
    NOT_ENOUGH_EVIDENCE = "not_enough_evidence"
    ACT_IN_FLIGHT = "act_in_flight"
    BACKING_OFF = "backing_off"
    INNER_SUPERVISOR_AT_WORK = "inner_supervisor_at_work"
    OWN_RECOVERY_AT_WORK = "own_recovery_at_work"
    NEEDS_PERSON = "needs_person"
    LADDER_SPENT = "ladder_spent"
    UNREACHABLE_TOO_LONG = "unreachable_too_long"
    OFFERS_STALE = "offers_stale"
    SEARCH_QUOTA_SPENT = "search_quota_spent"
    SEARCH_FAILS = "search_fails"
    NO_SUITABLE_OFFER = "no_suitable_offer"
    OFFER_GONE = "offer_gone"
    PAUSED = "paused"
    OBSERVE_ONLY = "observe_only"
    SUGGEST_ONLY = "suggest_only"
    NOT_LEADER = "not_leader"
    MASS_FAILURE = "mass_failure"
    COMMON_CAUSE = "common_cause"
    BAD_DEPLOY = "bad_deploy"
    MAINTENANCE_WINDOW = "maintenance_window"
    MARKET_UNREADABLE = "market_unreadable"
    OWN_NETWORK_DOWN = "own_network_down"
    BUDGET = "budget"
    DARK_SPEND = "dark_spend"
    OUT_OF_CREDIT = "out_of_credit"
    UNAUTHORIZED = "unauthorized"
    REPLACEMENTS_SPENT = "replacements_spent"
    REPLACEMENT_TOO_SOON = "replacement_too_soon"
    TOO_MANY_REPLACEMENTS_IN_FLIGHT = "too_many_replacements_in_flight"
    ANOTHER_HANDS_OVER = "another_hands_over"
    SLOT_HELD_BY_BUG = "slot_held_by_bug"
    STARTING_UP = "starting_up"
    STOPPING = "stopping"

    # Why keeper acts without a sickness.
    OPERATOR_ASKED = "operator_asked"
    HANDOVER = "handover"
    SWAPPED = "swapped"
    SWAP_FAILED = "swap_failed"
    SWAP_UNABLE = "swap_unable"
    RECYCLE = "recycle"
    ROLLOUT = "rollout"
    DRAINING = "draining"
    DRAIN_OVERDUE = "drain_overdue"
    ROLLBACK = "rollback"

    # About spares.
    SPARE_WANTED = "spare_wanted"
    SPARE_READY = "spare_ready"
    SPARE_WAITS = "spare_waits"
    SPARE_SICK = "spare_sick"
    SPARE_EXPIRED = "spare_expired"
    SPARE_UNFIT = "spare_unfit"
    SPARE_TOOK_OVER = "spare_took_over"
    SPARE_PROVEN = "spare_proven"
    SPARE_STANDS = "spare_stands"
    SPARE_STARTING = "spare_starting"
    SPARE_NOT_STARTED = "spare_not_started"
    SPARE_NOT_STOPPED = "spare_not_stopped"
    START_QUEUED = "start_queued"


SENTENCE: dict[Reason, str] = {
    Reason.LIVE: "the viewer sees a moving picture",
    Reason.ANSWERS: "the stream's address answers; whether the picture moves was not looked at",
    Reason.STATIC_BY_DESIGN: "the picture stands still and is meant to",
    Reason.FROZEN: "frames arrive, but it is always the same frame",
    Reason.BLACK: "frames arrive, but they are black",
    Reason.NO_BYTES: "the stream answers but sends no picture",
    Reason.CORRUPT: "what arrives cannot be decoded as a picture",
    Reason.NO_SOUND: "the picture is there, and the sound that belongs to it is not",
    Reason.STUTTERING: "the picture moves, but far below its target rate",
    Reason.UNREACHABLE: "nobody answers at the stream's address",
    Reason.HTTP_ERROR: "the stream's address answers with an error",
    Reason.PROBE_FAILED: "the probe itself failed, so nothing is known",
    Reason.NOT_ASKED: "this has not been looked at yet",
    Reason.SILENT: "the witness has said nothing for too long",
    Reason.LINK_UP: "the SSH link is up and the sentinel speaks",
    Reason.LINK_LOST: "the SSH link was lost and is being dialled again",
    Reason.DIAL_REFUSED: "SSH does not answer at the host's address",
    Reason.KEY_REFUSED: "the host refuses our SSH key",
    Reason.HOST_KEY_CHANGED: "the host shows another key than at first contact",
    Reason.PROCESS_UP: "the process is up",
    Reason.PROCESS_GONE: "the process is gone",
    Reason.PROCESS_STARTING: "the process is starting",
    Reason.PROCESS_STOPPED_ON_PURPOSE: "somebody stopped the process on purpose",
    Reason.MANAGER_DOWN: "the process manager on the host is down",
    Reason.MANAGER_GAVE_UP: "the process manager on the host has given up",
    Reason.MANAGER_RETRYING: "the process manager on the host is retrying by itself",
    Reason.CRASH_LOOP: "the process keeps dying and being restarted",
    Reason.DISK_FULL: "the host's disk is full",
    Reason.DISK_LOW: "the host's disk is nearly full",
    Reason.GPU_LOST: "the GPU no longer answers",
    Reason.DISPLAY_LOST: "the GPU no longer drives a display",
    Reason.WORKLOAD_WELL: "the workload says that it is well",
    Reason.SYMPTOM: "the workload says what is wrong with it",
    Reason.WRONG_PICTURE: "a picture moves, and it is not the stream",
    Reason.VACANT: "no host is rented for this slot",
    Reason.PENDING: "the marketplace has accepted the rental and has not started it yet",
    Reason.RUNNING: "the marketplace says the host is running",
    Reason.BOOTING: "the host is booting",
    Reason.BOOT_STUCK: "the host has not come up in the time a boot may take",
    Reason.BOOT_FAILED: "the container cannot start on this host",
    Reason.MARKET_SAYS_DEAD: "the marketplace reports the host as down",
    Reason.MARKET_STOPPED_IT: "the marketplace has stopped the rental",
    Reason.DEAD_MAN_STOPPED: "the host heard no keeper for too long and stopped itself",
    Reason.GONE: "the rental no longer exists, confirmed by two listings and by its id",
    Reason.MISSING_FROM_LIST: "the rental is missing from a complete listing, not yet confirmed",
    Reason.CREATE_UNSETTLED: "the answer to a create was lost; looking for its label before anything else",
    Reason.CREATE_NEVER_APPEARED: "a create was answered, but the rental never appeared",
    Reason.FOUND_BY_LABEL: "a rental with our label was found after a lost answer",
    Reason.DUPLICATE_RENTAL: "a second rental carries a label that is already bound",
    Reason.STRAY_RENTAL: "a rental of ours is bound to no slot",
    Reason.PRICE_DRIFT: "the rented contract costs more than the limit",
    Reason.NOT_DEPLOYED: "the host is up and the workload is not on it yet",
    Reason.DEPLOYED: "the workload is on the host",
    Reason.DEPLOY_FAILED: "the workload could not be put on this host",
    Reason.DEPLOY_UNSETTLED: "the answer to a deploy was lost; looking for its picture before it is repeated",
    Reason.AUDITION_FAILED: "the host has failed its audition",
    Reason.AUDITION_WAITS: "the host's audition may still come right; it is looked at again",
    Reason.WARMING_UP: "the workload is warming up, within its grace time",
    Reason.NO_PICTURE_EVER: "the workload never showed a picture within its grace time",
    Reason.CONDEMNED: "the rental is condemned and not yet confirmed gone",
    Reason.SUPERSEDED: "a replacement has proven itself, so the old host goes",
    Reason.STREAM_REMOVED: "the stream is no longer in the configuration",
    Reason.CONTRACT_ENDING: "the rental's contract ends soon",
    Reason.OUTBID: "somebody bids more for the machine, so the rental was interrupted",
    Reason.HEALTHY: "all is well",
    Reason.UNKNOWN_IS_NOT_UNHEALTHY: "nobody could look, and not knowing is no reason to act",
    Reason.NOT_ENOUGH_EVIDENCE: "not seen often enough yet to be believed",
    Reason.ACT_IN_FLIGHT: "an act for this slot is still under way",
    Reason.BACKING_OFF: "waiting between attempts",
    Reason.INNER_SUPERVISOR_AT_WORK: "the host's own supervisor is at work; two must not fight",
    Reason.OWN_RECOVERY_AT_WORK: "the workload's own recovery has its turn first",
    Reason.NEEDS_PERSON: "only a person can put this right; keeper spends nothing on it",
    Reason.LADDER_SPENT: "every cheaper remedy has been tried",
    Reason.UNREACHABLE_TOO_LONG: "the host has been out of reach for too long",
    Reason.OFFERS_STALE: "the offers known are too old; asking for fresh ones",
    Reason.SEARCH_QUOTA_SPENT: "the day's searches of the marketplace are used up",
    Reason.SEARCH_FAILS: "the marketplace has answered no search for minutes",
    Reason.NO_SUITABLE_OFFER: "no offer passes the filters",
    Reason.OFFER_GONE: "somebody else was faster; taking the next offer",
    Reason.PAUSED: "an operator has paused keeper",
    Reason.OBSERVE_ONLY: "this stream is set to observe only",
    Reason.SUGGEST_ONLY: "this stream is set to suggest only; a person has to do it",
    Reason.NOT_LEADER: "another keeper holds the lease",
    Reason.MASS_FAILURE: "too many slots are sick at once; suspecting a common cause",
    Reason.COMMON_CAUSE: "the same fault on several hosts within minutes; suspecting one cause",
    Reason.BAD_DEPLOY: "what was deployed does not work, and another host would not help",
    Reason.MAINTENANCE_WINDOW: "a maintenance window allows less than this now",
    Reason.MARKET_UNREADABLE: "the marketplace gives no trustworthy list",
    Reason.OWN_NETWORK_DOWN: "this box's own network fails its canary",
    Reason.BUDGET: "it would cross a spending limit",
    Reason.DARK_SPEND: "dollars flow and no picture comes; a person must look",
    Reason.OUT_OF_CREDIT: "the marketplace account has no credit",
    Reason.UNAUTHORIZED: "the marketplace refuses the API key",
    Reason.REPLACEMENTS_SPENT: "the replacement allowance is used up; a person must look",
    Reason.REPLACEMENT_TOO_SOON: "the last replacement was too recent",
    Reason.TOO_MANY_REPLACEMENTS_IN_FLIGHT: "enough replacements are under way already",
    Reason.ANOTHER_HANDS_OVER: "another slot of the stream is handing over, and one does at a time",
    Reason.SLOT_HELD_BY_BUG: "keeper failed while handling this slot; held so that others are spared",
    Reason.STARTING_UP: "keeper has just started and has not looked at everything yet",
    Reason.STOPPING: "keeper is stopping",
    Reason.OPERATOR_ASKED: "an operator asked for it",
    Reason.RECYCLE: "the host has served as long as the stream's hosts are meant to",
    Reason.DRAINING: "viewers are watching: what is to be done waits for a moment at which they lose least",
    Reason.DRAIN_OVERDUE: "viewers did not pause in time, and `drain_then` says to leave the host as it is",
    Reason.ROLLOUT: "what is declared for the stream is not what is on its host",
    Reason.ROLLBACK: "what was deployed last is bad, so what worked before is put back",
    Reason.HANDOVER: "a replacement is proving itself while the old host still serves",
    Reason.SWAPPED: "a replacement proves itself in the place of the old host, which has ended and is kept",
    Reason.SWAP_FAILED: "the new host showed no picture in the old one's place, which publishes again",
    Reason.SWAP_UNABLE: "the old host cannot be told to end, so the new one cannot publish",
    Reason.SPARE_WANTED: "the stream keeps spares, and one is missing",
    Reason.SPARE_READY: "the spare is ready to take over",
    Reason.SPARE_WAITS: "a spare comes after every slot that needs a host, and after doubts",
    Reason.SPARE_SICK: "the spare would be of no use, and nobody mends one",
    Reason.SPARE_EXPIRED: "the spare is as old as the stream's spares may become",
    Reason.SPARE_UNFIT: "the spare is on a machine, or an owner's, that has failed meanwhile",
    Reason.SPARE_TOOK_OVER: "a spare was ready, so it takes over",
    Reason.SPARE_PROVEN: "the spare has proven itself, and is to stand still until it is needed",
    Reason.SPARE_STANDS: "the spare stands still, pays for its disk alone, and is started when needed",
    Reason.SPARE_STARTING: "a spare that stood still is being started",
    Reason.SPARE_NOT_STARTED: "the spare did not start in time; its GPU may be let to another",
    Reason.SPARE_NOT_STOPPED: "the spare was told to stand still several times, and runs on",
    Reason.START_QUEUED: "the start waits in the marketplace's queue: the GPU is let to another",
}
